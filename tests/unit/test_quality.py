"""Waveform -> Quality: hand-worked values with a detector that is told what to say, then the real one on real voices."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

import signals
from model.decoding import DecodingLimits, decode
from model.quality import NOISE_FLOOR, SpeechAssessor, assess, speech_windows
from model.speech import GRAPH, SpeechDetector
from model.waveform import SAMPLE_RATE_HZ, Samples, Source, Waveform
from training.detector_graph import export_detector, load_wheel_model

N_WINDOW = 512
WINDOW_S = N_WINDOW / SAMPLE_RATE_HZ


class ToldDetector:
    """Says what it was told, window by window, whatever it hears."""

    n_window_samples = N_WINDOW

    def __init__(self, is_speech: list[bool]) -> None:
        self._probabilities = np.array(is_speech, dtype=np.float32)

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        assert len(self._probabilities) == -(-len(samples) // N_WINDOW)
        return self._probabilities


@pytest.fixture(scope="module")
def detector() -> SpeechDetector:
    return SpeechDetector()


def waveform(samples: signals.Audio | Samples) -> Waveform:
    return Waveform(np.asarray(samples, dtype=np.float32).reshape(-1), Source("wav", SAMPLE_RATE_HZ, 1))


def voiced(corpus: str, n_clips: int) -> list[Samples]:
    return [decode(upload, DecodingLimits()).samples for upload in signals.voices(corpus, n_clips)]


def speech_and_pause(speech_power: float, noise_power: float, n_each: int = 40) -> tuple[Waveform, ToldDetector]:
    """Noise throughout, and in the first half a louder "voice" of known power on top of it."""
    rng = np.random.default_rng(0)
    n = n_each * N_WINDOW
    samples = rng.standard_normal(2 * n) * math.sqrt(noise_power)
    samples[:n] += rng.standard_normal(n) * math.sqrt(speech_power)
    return waveform(samples), ToldDetector([True] * n_each + [False] * n_each)


# --- hand-worked ------------------------------------------------------------------------------------------------------


def test_speech_begins_at_one_probability_and_ends_under_another() -> None:
    probabilities = np.array([0.4, 0.49, 0.5, 0.36, 0.351, 0.349, 0.49, 0.9], dtype=np.float32)
    assert speech_windows(probabilities).tolist() == [False, False, True, True, True, False, False, True]


def test_net_speech_counts_windows_and_only_the_real_part_of_the_last() -> None:
    clip = waveform(np.zeros(3 * N_WINDOW + 100))
    assert assess(clip, ToldDetector([True, False, True, True])).speech_s == (2 * N_WINDOW + 100) / SAMPLE_RATE_HZ
    assert assess(clip, ToldDetector([False] * 4)).speech_s == 0.0


@pytest.mark.parametrize("snr_db", [40.0, 20.0, 10.0, 5.0, 0.0, -5.0])
def test_snr_is_the_voices_power_over_the_noises(snr_db: float) -> None:
    clip, told = speech_and_pause(1e-3 * 10 ** (snr_db / 10), 1e-3)
    measured = assess(clip, told).snr_db
    assert measured == pytest.approx(snr_db, abs=0.5)


def test_snr_ignores_what_borders_on_speech() -> None:
    """100 ms beside speech are consonants that the detector missed, not noise."""
    clip, told = speech_and_pause(1e-2, 1e-5)
    n = 40 * N_WINDOW
    clip.samples[n : n + 3 * N_WINDOW] = clip.samples[: 3 * N_WINDOW]
    assert assess(clip, told).snr_db == pytest.approx(30.0, abs=0.5)


@pytest.mark.parametrize(
    "is_speech",
    [
        [True] * 80,
        [False] * 80,
        [True] * 3 + [False] * 77,
        [True] * 73 + [False] * 7,
    ],
)
def test_snr_is_none_where_speech_or_pause_is_missing_or_short(is_speech: list[bool]) -> None:
    clip, _ = speech_and_pause(1e-2, 1e-5)
    assert assess(clip, ToldDetector(is_speech)).snr_db is None


def test_snr_is_measured_from_a_tenth_of_a_second_on() -> None:
    clip, _ = speech_and_pause(1e-2, 1e-5)
    assert assess(clip, ToldDetector([True] * 4 + [False] * 76)).snr_db is not None
    assert assess(clip, ToldDetector([True] * 72 + [False] * 8)).snr_db is not None


def test_snr_is_finite_at_both_ends() -> None:
    silent_pause, told = speech_and_pause(1e-2, 0.0)
    assert assess(silent_pause, told).snr_db == pytest.approx(10 * math.log10(1e-2 / NOISE_FLOOR), abs=0.1)
    pause_louder, told = speech_and_pause(0.0, 1e-2)
    pause_louder.samples[40 * N_WINDOW :] *= 3.0
    assert assess(pause_louder, told).snr_db == -20.0
    everything_silent = waveform(np.zeros(80 * N_WINDOW))
    assert assess(everything_silent, told).snr_db == -20.0


def test_clipping_is_a_flat_top_and_not_a_peak() -> None:
    samples = np.zeros(1_000, dtype=np.float32)
    samples[[10, 20, 21]] = 1.0
    told = ToldDetector([False, False])
    assert assess(waveform(samples), told).clipped_fraction == 0.0
    samples[100:103] = 0.9995
    samples[200:217] = -1.0
    assert assess(waveform(samples), told).clipped_fraction == 20 / 1_000
    assert assess(waveform(np.ones(1_000)), told).clipped_fraction == 1.0


# --- the real detector ------------------------------------------------------------------------------------------------


def test_the_detector_has_the_numbers_of_the_wheels_own_loop(detector: SpeechDetector) -> None:
    wheel = load_wheel_model()
    clips = [signals.white_noise(3.3, seed=1), signals.tone(1.0), signals.square(0.5), signals.silence(0.05)]
    clips.append(signals.white_noise(34.0, seed=2))  # in more than one piece
    for clip in clips:
        samples = clip[:, 0]
        theirs = wheel.audio_forward(torch.from_numpy(samples)[None], SAMPLE_RATE_HZ)[0].numpy()
        np.testing.assert_allclose(detector.probabilities(samples), theirs, atol=1e-4)


def test_the_detector_has_the_numbers_of_the_wheels_own_loop_on_voices(detector: SpeechDetector) -> None:
    wheel = load_wheel_model()
    for samples in voiced("librispeech-test-other", 3) + voiced("speechocean762", 3):
        theirs = wheel.audio_forward(torch.from_numpy(samples)[None], SAMPLE_RATE_HZ)[0].numpy()
        np.testing.assert_allclose(detector.probabilities(samples), theirs, atol=1e-4)


def test_the_graph_that_ships_is_the_one_that_the_wheels_weights_make(tmp_path: Path) -> None:
    export_detector(tmp_path / "anew.onnx")
    shipped, anew = (
        {weight.name: onnx.numpy_helper.to_array(weight) for weight in onnx.load(path).graph.initializer}
        for path in (GRAPH, tmp_path / "anew.onnx")
    )
    assert shipped.keys() == anew.keys()
    for name, weight in shipped.items():
        np.testing.assert_array_equal(weight, anew[name])


def test_loading_the_wheels_model_leaves_torchs_threads_alone() -> None:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(n_threads + 1)
    try:
        load_wheel_model()
        assert torch.get_num_threads() == n_threads + 1
    finally:
        torch.set_num_threads(n_threads)


def test_threads_share_a_detector_and_a_clip_has_one_answer(detector: SpeechDetector) -> None:
    clips = [np.hstack([signals.square(0.4), signals.white_noise(0.4, seed=n)]).reshape(-1) for n in range(24)]
    alone = [detector.probabilities(clip) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(detector.probabilities, clips))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n_samples", [0, 1, 400, 511, 512, 513, 1_000])
def test_clips_shorter_than_speech_are_measured(detector: SpeechDetector, n_samples: int) -> None:
    quality = SpeechAssessor(detector).assess(waveform(np.full(n_samples, 0.25)))
    assert quality.duration_s == n_samples / SAMPLE_RATE_HZ
    assert quality.speech_s == 0.0
    assert quality.snr_db is None
    assert quality.clipped_fraction == 0.0


def test_less_than_a_window_has_no_speech_even_where_the_detector_says_so() -> None:
    assert assess(waveform(np.ones(511)), ToldDetector([True])).speech_s == 0.0


NO_SPEECH = {
    "silence": signals.silence(5.0),
    "offset": np.full((80_000, 1), 0.5, dtype=np.float32),
    **{f"white noise at {level} dB": signals.white_noise(5.0, level_db=level) for level in (-80, -60, -40, -20, -6, 0)},
    **{f"tone at {amplitude}": signals.tone(5.0, amplitude=amplitude) for amplitude in (0.001, 0.1, 1.0)},
    **{f"square at {f} Hz": signals.square(5.0, frequency_hz=f, amplitude=0.9) for f in (80.0, 120.0, 200.0, 440.0)},
}


@pytest.mark.parametrize("name", NO_SPEECH)
def test_what_is_no_speech_has_less_than_a_second_of_it(detector: SpeechDetector, name: str) -> None:
    quality = assess(waveform(NO_SPEECH[name]), detector)
    assert quality.duration_s == 5.0
    assert quality.speech_s < 0.3


def test_three_tenths_of_speech_are_under_a_second(detector: SpeechDetector) -> None:
    for samples in voiced("librispeech-test-other", 5):
        loudest = int(np.argmax(np.convolve(samples**2, np.ones(4_800), "valid")))
        snippet = samples[loudest : loudest + 4_800]
        assert assess(waveform(snippet), detector).speech_s <= 0.3
        padded = np.concatenate([np.zeros(16_000), snippet, np.zeros(16_000)])
        assert 0.1 < assess(waveform(padded), detector).speech_s < 0.6


@pytest.mark.parametrize(
    ("corpus", "lowest", "highest"),
    [("librispeech-test-other", 0.5, 0.95), ("speechocean762", 0.4, 0.85), ("dspspeech20", 0.15, 0.6)],
)
def test_real_voices_have_a_plausible_share_of_speech(
    detector: SpeechDetector, corpus: str, lowest: float, highest: float
) -> None:
    qualities = [assess(waveform(samples), detector) for samples in voiced(corpus, 12)]
    assert lowest < np.median([quality.speech_s / quality.duration_s for quality in qualities]) < highest
    assert np.median([quality.snr_db for quality in qualities if quality.snr_db is not None]) > 15.0
    assert max(quality.clipped_fraction for quality in qualities) < 0.01


def test_a_constant_offset_changes_nothing(detector: SpeechDetector) -> None:
    for samples in voiced("speechocean762", 4):
        plain = assess(waveform(0.5 * samples), detector)
        shifted = assess(waveform(0.5 * samples + 0.4), detector)
        assert shifted.speech_s == pytest.approx(plain.speech_s, abs=2 * WINDOW_S)
        assert (shifted.snr_db, plain.snr_db) == (None, None) or shifted.snr_db == pytest.approx(plain.snr_db, abs=0.2)


@pytest.mark.parametrize("snr_db", [20.0, 10.0, 5.0, 0.0])
def test_noise_mixed_into_real_voices_is_measured(detector: SpeechDetector, snr_db: float) -> None:
    rng = np.random.default_rng(0)
    errors_db = []
    for samples in voiced("librispeech-test-other", 8) + voiced("speechocean762", 8):
        is_speech = np.repeat(speech_windows(detector.probabilities(samples)), N_WINDOW)[: len(samples)]
        noise_power = np.mean(samples[is_speech] ** 2) / 10 ** (snr_db / 10)
        mixed = samples + rng.standard_normal(len(samples)) * math.sqrt(noise_power)
        measured = assess(waveform(mixed), detector).snr_db
        if measured is not None:
            errors_db.append(measured - snr_db)
    assert len(errors_db) >= 12
    assert abs(float(np.median(errors_db))) < 1.5
