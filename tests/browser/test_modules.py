"""The console's arithmetic, run where it runs: in the browser, against numpy, hand-worked values and the service."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Browser, Page
from scipy.stats import norm

import signals
from shipped import CLIPS

pytestmark = pytest.mark.browser
Compute = Callable[..., Any]
RATE_HZ = 16_000


@pytest.fixture(scope="module")
def compute(browser_hearing: Callable[[str], Browser], address: str) -> Iterator[Compute]:
    """`compute(module, expression, *arguments)`: the expression, with the module as `m` and the arguments as `a`."""
    page: Page = browser_hearing("silence").new_page()
    page.goto(address)

    def run(module: str, expression: str, *arguments: object) -> Any:
        script = f"async (a) => {{ const m = await import('/console/js/{module}.js'); return {expression}; }}"
        return page.evaluate(script, list(arguments))

    yield run
    page.close()


def listed(samples: signals.Audio) -> list[float]:
    return [float(sample) for sample in samples.ravel()]


def test_a_wav_is_read_back_by_others(compute: Compute) -> None:
    sent = [0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0]
    expression = "Array.from(new Uint8Array(await m.wavBlob(Float32Array.from(a[0]), a[1]).arrayBuffer()))"
    upload = bytes(compute("wav", expression, sent, 44_100))
    with wave.open(io.BytesIO(upload)) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate(), read.getnframes()) == (1, 2, 44_100, 7)
        found = np.frombuffer(read.readframes(7), dtype="<i2")
    assert found.tolist() == [0, 16384, -16383, 32767, -32767, 32767, -32767]


def test_the_fourier_transform_is_numpy_s(compute: Compute) -> None:
    samples = np.random.default_rng(1).standard_normal(256)
    expression = "(() => { const re = Float32Array.from(a[0]), im = new Float32Array(256); m.fft(re, im); return [[...re], [...im]]; })()"
    real, imaginary = compute("mel", expression, samples.tolist())
    np.testing.assert_allclose(np.array(real) + 1j * np.array(imaginary), np.fft.fft(samples), atol=1e-4)


@pytest.mark.parametrize("frequency_hz", [300.0, 1000.0, 4000.0])
def test_a_tone_is_brightest_in_the_band_of_its_pitch(compute: Compute, frequency_hz: float) -> None:
    samples = listed(signals.tone(0.5, RATE_HZ, frequency_hz=frequency_hz))
    levels = compute("mel", "Array.from(m.melLevelsDb(Float32Array.from(a[0]), a[1], 9))", samples, RATE_HZ)
    frame = np.array(levels).reshape(9, -1)[4]
    n_bands = len(frame)

    def mel(hz: float) -> float:
        return float(2595 * np.log10(1 + hz / 700))

    expected = mel(frequency_hz) / mel(8000) * (n_bands + 1) - 1
    assert abs(int(frame.argmax()) - expected) <= 1


def estimate(compute: Compute, samples: signals.Audio, rate_hz: int) -> float:
    expression = "m.estimateSpeechS(m.frameLevelsDb(Float32Array.from(a[0]), a[1]))"
    return float(compute("speech", expression, listed(samples), rate_hz))


def test_silence_noise_and_a_tone_are_no_speech(compute: Compute) -> None:
    for samples in (signals.silence(2.0), signals.white_noise(2.0), signals.white_noise(2.0, level_db=-70.0)):
        assert estimate(compute, samples, RATE_HZ) == 0
    assert compute("speech", "m.estimateSpeechS([])") == 0


def test_bursts_count_and_the_long_pause_between_them_does_not(compute: Compute) -> None:
    burst, pause = signals.white_noise(1.0, level_db=-20.0), signals.white_noise(1.0, level_db=-60.0, seed=1)
    assert estimate(compute, np.concatenate([pause, burst, pause, burst, pause]), RATE_HZ) == pytest.approx(
        2.0, abs=0.05
    )


@pytest.mark.parametrize("name", ["speaker-a-1", "speaker-a-2", "speaker-a-3", "speaker-b-1"])
def test_the_estimate_is_near_what_the_service_counts(compute: Compute, page: Page, address: str, name: str) -> None:
    samples, rate_hz = soundfile.read(CLIPS / f"{name}.ogg", dtype="float32")
    answer = page.request.post(f"{address}/v1/identify", multipart={"audio": (CLIPS / f"{name}.ogg")})
    (audio,) = answer.json()["audio"]
    assert estimate(compute, samples, rate_hz) == pytest.approx(audio["speech_s"], rel=0.3)


def test_rates_and_probabilities_in_words(compute: Compute) -> None:
    assert compute("words", "[0.0439, 0.01, 0].map(m.oneIn)") == ["1 in 23", "1 in 100", "none of those measured"]
    assert compute("words", "[0.5, 0.9876, 0.994, 0.99999, 0.003, 0.0001].map(m.percent)") == [
        *("50 %", "99 %", "99.4 %"),
        *("over 99.9 %", "0.3 %", "under 0.1 %"),
    ]
    assert compute("words", "[0.2, 1.01, 3].map(m.missingSeconds)") == ["1 s", "2 s", "3 s"]


def test_the_threshold_as_a_probability(compute: Compute) -> None:
    assert compute("gauge", "m.thresholdProbability({llr: 0}, 0.2)") == pytest.approx(0.2)
    assert compute("gauge", "m.thresholdProbability({llr: Math.log(3)}, 0.5)") == pytest.approx(0.75)


def test_advice_names_the_clip_and_what_is_missing(compute: Compute) -> None:
    limits = {"min_speech_s": 3, "min_snr_db": 3}
    good, short = {"speech_s": 5, "snr_db": 20}, {"speech_s": 1.2, "snr_db": None}
    noisy = {"speech_s": 4, "snr_db": 1.4}

    def advice(reasons: list[str], *audio: object) -> list[str]:
        answer = {"reasons": reasons, "audio": audio}
        found: list[str] = compute("advice", "m.adviceOn(a[0], a[1], ['Clip A', 'Clip B'])", answer, limits)
        return found

    (line,) = advice(["not_enough_speech"], good, short)
    assert line.startswith("Clip B: speak 2 s more. 1.2 s of speech was heard, and the service decides on 3.0 s")
    (line,) = advice(["too_noisy"], noisy, good)
    assert line.startswith("Clip A: come closer to the microphone")
    assert len(advice(["not_enough_speech", "too_noisy"], short, noisy)) == 2
    assert advice(["ambiguous"], good) == [
        "Two speakers are too close to each other. Speak longer, or verify the one who is claimed."
    ]
    assert advice(["unheard_of"], good) == ["The service says: unheard of."]


def test_the_axes_of_the_error_curve_are_normal_deviates(compute: Compute) -> None:
    shares = [0.0005, 0.0228, 0.1587, 0.5, 0.8413, 0.999]
    assert compute("det-plot", "a[0].map(m.probit)", shares) == pytest.approx(norm.ppf(shares), abs=0.0005)
    ends = [0, 0.0005, 0.6, 1]
    assert compute("det-plot", "a[0].map(m.along)", ends) == pytest.approx([0, 0, 1, 1], abs=1e-9)


def test_what_a_threshold_costs_in_words(compute: Compute) -> None:
    rates = [0, 0.0004, 0.001, 0.0439, 0.9996]
    assert compute("words", "a[0].map(m.ofThousand)", rates) == [
        "fewer than 1",
        "fewer than 1",
        "1",
        "44",
        "nearly all",
    ]
    assert compute("words", "[[0.0013, 0.0245], [0, 0.0001]].map(m.ofThousandBetween)") == ["1 to 25", "fewer than 1"]
    assert compute("page-threshold", "m.inWords(0.0439, 0.001)") == (
        "of 1,000 strangers 44 are let in, of 1,000 true speakers 1 is turned away"
    )


def test_the_nearest_threshold_is_found(compute: Compute) -> None:
    assert compute("page-threshold", "[-9, 0.9, 1.1, 7].map((wanted) => m.nearest([-2, 0, 2], wanted))") == [0, 1, 2, 2]
