"""Waveform -> Quality: net speech, signal-to-noise ratio, clipping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.waveform import SAMPLE_RATE_HZ, Samples, Waveform

ONSET_PROBABILITY = 0.5
OFFSET_PROBABILITY = 0.35
"""Speech begins at the one and lasts until the probability falls under the other, as the detector's authors advise."""

GUARD_S = 0.1
"""What borders on speech counts as neither speech nor pause: consonants fade there that the detector does not see."""
MIN_MEASURED_S = 0.1
"""Speech, and pause outside the guard, without which there is no SNR."""
NOISE_FLOOR = 1e-9
"""Power under which a pause counts as silent: -90 dB re full scale, one bit of 16."""
SNR_RANGE_DB = (-20.0, 90.0)
"""What is reported at most: noise as strong as all of it on one side, the floor on the other."""

CLIPPED_LEVEL = 0.999
MIN_CLIPPED_RUN_SAMPLES = 3
"""A single loud peak is no clipping; a flat top is."""


@dataclass(frozen=True)
class Quality:
    """What a clip is worth as evidence. Times in seconds; `snr_db` is None where speech or pause is missing."""

    duration_s: float
    speech_s: float
    """Net speech found by the voice-activity detector."""
    snr_db: float | None
    clipped_fraction: float
    """Share of samples at full scale, in [0, 1]."""


def mean_snr_db(snrs_db: Sequence[float | None]) -> float | None:
    """Of the clips that have a signal-to-noise ratio; None where none has."""
    measured = [snr_db for snr_db in snrs_db if snr_db is not None]
    return math.fsum(measured) / len(measured) if measured else None


class Detector(Protocol):
    """A voice-activity detector; `model.speech.SpeechDetector` is the real one."""

    @property
    def n_window_samples(self) -> int: ...

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """(n_samples,) at 16 kHz -> probability of speech, one a window, the last one padded with zeros."""
        ...


class SpeechAssessor:
    """`assess` with its detector; as safe to share between threads as the detector is."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def assess(self, waveform: Waveform) -> Quality:
        return assess(waveform, self._detector)


def assess(waveform: Waveform, detector: Detector) -> Quality:
    """Measures a clip of any length. A constant offset changes nothing; less than one window has no speech."""
    samples = waveform.samples
    n_window_samples = detector.n_window_samples
    centred = samples - samples.mean() if len(samples) else samples
    is_speech = speech_windows(detector.probabilities(centred))
    if len(samples) < n_window_samples:
        is_speech = np.zeros_like(is_speech)
    n_real = np.minimum(n_window_samples, len(samples) - n_window_samples * np.arange(len(is_speech)))
    return Quality(
        duration_s=waveform.duration_s,
        speech_s=float(n_real[is_speech].sum()) / SAMPLE_RATE_HZ,
        snr_db=_snr_db(samples, is_speech, n_window_samples),
        clipped_fraction=_clipped_fraction(samples),
    )


def speech_windows(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Probability of speech -> speech or not, with hysteresis; both of shape (n_windows,)."""
    is_speech = np.zeros(len(probabilities), dtype=np.bool_)
    speaking = False
    for index, probability in enumerate(probabilities.tolist()):
        speaking = probability >= (OFFSET_PROBABILITY if speaking else ONSET_PROBABILITY)
        is_speech[index] = speaking
    return is_speech


def _snr_db(samples: Samples, is_speech: NDArray[np.bool_], n_window_samples: int) -> float | None:
    """Power of speech over power of pause; the noise under the speech is subtracted, so that 0 dB is really 0 dB."""
    n_windows = len(samples) // n_window_samples
    windows = samples[: n_windows * n_window_samples].reshape(n_windows, n_window_samples)
    centred = windows - windows.mean(axis=1, keepdims=True)  # an offset has no power
    powers = np.einsum("ij,ij->i", centred, centred).astype(np.float64) / n_window_samples
    speech = is_speech[:n_windows]
    pause = ~_widened(speech, _n_windows(GUARD_S, n_window_samples))
    n_needed = _n_windows(MIN_MEASURED_S, n_window_samples)
    if speech.sum() < n_needed or pause.sum() < n_needed:
        return None
    noise = max(float(powers[pause].mean()), NOISE_FLOOR)
    signal = float(powers[speech].mean()) - noise
    lowest, highest = SNR_RANGE_DB
    return min(highest, 10.0 * math.log10(signal / noise)) if signal > noise * 10 ** (lowest / 10) else lowest


def _n_windows(duration_s: float, n_window_samples: int) -> int:
    return math.ceil(duration_s * SAMPLE_RATE_HZ / n_window_samples)


def _widened(windows: NDArray[np.bool_], n_guard: int) -> NDArray[np.bool_]:
    """True where any window within `n_guard` is."""
    counts = np.concatenate([[0], np.cumsum(windows)])
    index = np.arange(len(windows))
    first = np.maximum(index - n_guard, 0)
    last = np.minimum(index + n_guard + 1, len(windows))
    return np.asarray(counts[last] > counts[first])


def _clipped_fraction(samples: Samples) -> float:
    """Share of samples that stay at full scale for at least `MIN_CLIPPED_RUN_SAMPLES`."""
    if max(samples.max(initial=0.0), -samples.min(initial=0.0)) < CLIPPED_LEVEL:  # most clips, and half the time
        return 0.0
    at_limit = np.abs(samples) >= CLIPPED_LEVEL
    edges = np.flatnonzero(np.diff(at_limit, prepend=False, append=False))
    runs = edges[1::2] - edges[::2]
    return float(runs[runs >= MIN_CLIPPED_RUN_SAMPLES].sum()) / len(samples)
