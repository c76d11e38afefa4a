"""Each bomb ends as a refusal with a name, or as audio in which nobody speaks, and costs its decoder little."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.adapters.decoder_pool import DecoderPool
from bombs import BOMBS, HEARD
from model.decision import QualityGate
from model.decoding import DecodingLimits
from model.errors import AudioError
from model.quality import SpeechAssessor
from model.speech import SpeechDetector

PEAK_CAP_MB = 256
"""Of a child, over all bombs."""
MAX_S = 3.0
CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children")


@pytest.fixture(scope="module")
def pool() -> Iterator[DecoderPool]:
    pool = DecoderPool(
        DecodingLimits(), 1, died=lambda data, status: pytest.fail(f"a child ended with status {status}")
    )
    yield pool
    pool.close()


def peak_mb() -> float:
    """Of the children that decode."""
    peaks = [0.0]
    for pid in CHILDREN.read_text().split():
        if b"decoder_child" in Path(f"/proc/{pid}/cmdline").read_bytes():
            (line,) = (
                line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")
            )
            peaks.append(int(line.split()[1]) / 1024)
    return max(peaks)


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_name_in_bounded_time_and_memory(pool: DecoderPool, name: str) -> None:
    make, kind = BOMBS[name]
    upload = make()
    begin_s = time.monotonic()
    with pytest.raises(AudioError) as caught:
        pool.decode(upload)
    assert isinstance(caught.value, kind)
    assert time.monotonic() - begin_s < MAX_S
    if CHILDREN.is_file():
        assert 0 < peak_mb() < PEAK_CAP_MB


@pytest.mark.parametrize("name", HEARD)
def test_what_is_audio_and_no_voice_decides_nothing(pool: DecoderPool, name: str) -> None:
    waveform = pool.decode(HEARD[name]())
    assert np.isfinite(waveform.samples).all()
    quality = SpeechAssessor(SpeechDetector()).assess(waveform)
    assert QualityGate(1.0, 3.0).reasons(quality), quality
