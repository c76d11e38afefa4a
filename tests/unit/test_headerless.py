"""GSM 06.10 and G.722 without a header: what an encoder wrote is heard again."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

import signals
from model.errors import AudioError
from training.dataset import read_samples


def gsm(samples: signals.Audio) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, 8_000, format="RAW", subtype="GSM610")
    return out.getvalue()


@pytest.mark.parametrize(
    ("suffix", "rate_hz", "encode", "expected_hz"),
    [(".gsm", 8_000, gsm, 440.0), (".g722", 16_000, signals.g722, 440.0), (".g722", 16_000, signals.g722, 6_000.0)],
)
def test_a_tone_is_heard_at_its_pitch_and_length(
    tmp_path: Path, suffix: str, rate_hz: int, encode: object, expected_hz: float
) -> None:
    path = tmp_path / f"tone{suffix.upper()}"
    path.write_bytes(encode(signals.tone(1.0, rate_hz, frequency_hz=expected_hz)))  # type: ignore[operator]
    samples = read_samples(path)
    assert len(samples) == pytest.approx(16_000, abs=640)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), n=16_000))  # a bin for each hertz
    loudest_hz = int(spectrum.argmax())
    assert loudest_hz == pytest.approx(expected_hz, abs=5)


@pytest.mark.parametrize("suffix", [".gsm", ".g722"])
def test_an_empty_file_is_refused(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(b"")
    with pytest.raises(AudioError):
        read_samples(tmp_path / f"a{suffix}")
