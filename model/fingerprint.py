"""A recording's acoustic fingerprint: what stays the same when it is re-encoded, and differs in the next take.

After Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002): the bits of a word say how the
difference between neighbouring bands has changed within a short time. A codec, a gain, a band limit or a little noise
flips few of them; another take of the same words by the same person has others. `fingerprint_matching.py` compares.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.waveform import SAMPLE_RATE_HZ, Samples, Waveform

Fingerprint = NDArray[np.uint32]
"""Words of N_BITS, shape (n_words,). A word of 0 is a pause: it says nothing, and agrees with none."""

MAX_DURATION_S = 30
"""Of a clip; what comes later is not looked at, so that no clip costs more."""
N_BITS = 32
RATE_HZ = SAMPLE_RATE_HZ // 2
"""Frames of half as many samples take half the time, and the bands lie below a quarter of the full rate."""
HOP_SAMPLES = RATE_HZ * 24 // 1000
"""24 ms: between two words. With 16 as much is found, for half as much time again."""
FRAME_SAMPLES = 1024
"""128 ms: so long that half a hop changes little, and that harmonics, which move between takes, are told apart."""
LAG_HOPS = 3
"""72 ms: within which a change makes a bit."""
KEPT_EVERY_HOPS = 4
"""96 ms: between two words that are kept. A probe has all of its words, and so meets these wherever it was cut."""
BAND_HZ = (250.0, 2800.0)
"""What telephones and speech codecs pass on."""

N_FRAMES_AT_ONCE = 64
"""What stays in a processor's cache."""

LOUD_WITHIN_DB = 30.0
"""Of the loud frames of the clip. What is quieter is a pause, which is alike in all clips from one room."""
LOUD_QUANTILE = 0.95
MIN_LEVEL_DB = -70.0
"""Re a full-scale sine."""
MIN_CHANGE_DB = 2.0
"""Root mean square over the bands, below which nothing happens: a hum, a steady tone."""

_FLOOR = 1e-9
_DB_PER_NEPER = 10 / np.log(10)
"""Of a power's natural logarithm."""


def fingerprint(waveform: Waveform) -> Fingerprint:
    """A word every 24 ms, at most 30 s of them; none for a clip under 0.2 s."""
    energies = _band_energies(_halved(waveform.samples[: MAX_DURATION_S * SAMPLE_RATE_HZ]))
    if len(energies) <= LAG_HOPS:
        return np.zeros(0, dtype=np.uint32)
    slopes = np.diff(np.log(energies + np.float32(_FLOOR)), axis=1)
    changes = slopes[LAG_HOPS:] - slopes[:-LAG_HOPS]
    words: Fingerprint = np.packbits(changes > 0, axis=1).view(">u4").ravel().astype(np.uint32)
    levels = energies.sum(axis=1)
    quieter = np.minimum(levels[LAG_HOPS:], levels[:-LAG_HOPS])
    changed = np.sqrt(np.mean(np.square(changes), axis=1)) * _DB_PER_NEPER
    words[(quieter < _least_level(levels)) | (changed < MIN_CHANGE_DB)] = 0
    return words


def kept(words: Fingerprint) -> Fingerprint:
    """What is remembered of a clip: 42 bytes a second."""
    return words[::KEPT_EVERY_HOPS].copy()


def _halved(samples: Samples) -> Samples:
    """(n,) at 16 kHz -> (n / 2,) at 8 kHz. What folds back into the bands is 29 dB down."""
    n_odd = 2 * len(_HALF_BAND) - 1
    padded = np.pad(samples, n_odd)
    n = len(samples) // 2
    halved = 0.5 * padded[n_odd::2][:n]
    for distance, weight in zip(range(1, n_odd + 1, 2), _HALF_BAND, strict=True):
        halved += weight * (padded[n_odd - distance :: 2][:n] + padded[n_odd + distance :: 2][:n])
    return halved


def _band_energies(samples: Samples) -> NDArray[np.float32]:
    """(n,) at 8 kHz -> (n_frames, N_BITS + 1); 1 is about a sine at full scale."""
    if len(samples) < FRAME_SAMPLES:
        return np.zeros((0, N_BITS + 1), dtype=np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::HOP_SAMPLES]
    energies = np.empty((len(frames), N_BITS + 1), dtype=np.float32)
    for start in range(0, len(frames), N_FRAMES_AT_ONCE):
        some = slice(start, start + N_FRAMES_AT_ONCE)
        spectra = np.fft.rfft(frames[some] * _WINDOW)[:, _BINS]
        energies[some] = (np.square(spectra.real) + np.square(spectra.imag)) @ _BANDS
    return energies


def _least_level(levels: NDArray[np.float32]) -> float:
    loud = float(np.quantile(levels, LOUD_QUANTILE))
    return max(loud * 10 ** (-LOUD_WITHIN_DB / 10), 10 ** (MIN_LEVEL_DB / 10))


def _half_band() -> NDArray[np.float32]:
    """Weights of the samples 1, 3, 5 … away, on either side, of a low-pass at a quarter of the rate (Kaiser, 19 taps)."""
    distances = np.arange(1, 10, 2)
    weights = np.sinc(distances / 2) * np.kaiser(19, 6.0)[9 + distances]
    return np.asarray(weights * 0.25 / weights.sum(), dtype=np.float32)


def _bands() -> tuple[slice, NDArray[np.float32]]:
    """The bins that count, and a triangle for each band over them: centres in even ratios, no narrower than a bin."""
    frequencies_hz = np.fft.rfftfreq(FRAME_SAMPLES, 1 / RATE_HZ)
    centres_hz = np.geomspace(*BAND_HZ, N_BITS + 1)
    half_widths_hz = np.maximum(np.gradient(centres_hz), RATE_HZ / FRAME_SAMPLES)
    weights = np.maximum(0, 1 - np.abs(frequencies_hz[:, None] - centres_hz) / half_widths_hz)
    used = np.flatnonzero(weights.any(axis=1))
    bins = slice(int(used[0]), int(used[-1]) + 1)
    return bins, np.asarray(weights[bins], dtype=np.float32)


_HALF_BAND = _half_band()
# A full-scale sine in the middle of a band comes out as 1.
_WINDOW = np.asarray(np.hanning(FRAME_SAMPLES + 1)[:-1] * 4 / FRAME_SAMPLES, dtype=np.float32)
_BINS, _BANDS = _bands()
