"""Augmentation in the log-mel domain: cheap enough for a laptop, and close to what happens to the waveform.

Powers of independent sounds add, so noise and babble are added as exp(log-mel); a room smears power along time; a
channel scales each mel bin. All of it is drawn from the crop's own generator, so a crop is reproducible, whoever draws it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from model.features import HOP_S, LOG_FLOOR

DB = math.log(10.0) / 10.0
"""Natural-log power units in one decibel."""


@dataclass(frozen=True)
class AugmentConfig:
    """Probability that each effect hits a crop, and its range."""

    ramp_steps: int = 0
    """Steps over which the probabilities grow from 0: heavy augmentation from the first step stalls the start."""

    noise: float = 0.0
    noise_snr_db: tuple[float, float] = (0.0, 25.0)
    babble: float = 0.0
    babble_snr_db: tuple[float, float] = (5.0, 20.0)
    reverberation: float = 0.0
    reverberation_t60_s: tuple[float, float] = (0.15, 0.7)
    reverberation_direct_db: tuple[float, float] = (0.0, 12.0)
    """Energy of the direct sound over that of the tail."""
    channel: float = 0.0
    channel_db: float = 6.0
    band_limit: float = 0.0
    pause: float = 0.0
    """Speech in the crop gives way to the quietest of its own frames at both ends, as where somebody says one word."""
    pause_fraction: tuple[float, float] = (0.2, 0.7)
    """Share of the crop that becomes pause."""
    gain_db: float = 0.0
    mask: float = 0.0
    mask_n_mels: int = 12
    mask_fraction: float = 0.15
    """Widest time mask as a share of the crop."""


def augment(
    log_mel: NDArray[np.float32],
    config: AugmentConfig,
    rng: np.random.Generator,
    somebody_else: Callable[[np.random.Generator], NDArray[np.float32]],
    strength: float = 1.0,
) -> NDArray[np.float32]:
    """(n_mels, n_frames) natural-log powers of a crop -> the same shape.

    `somebody_else` draws another speaker's crop of that shape, for babble. `strength` in [0, 1] scales every probability.
    """
    n_mels, n_frames = log_mel.shape
    power = np.exp(log_mel)
    level = float(power.mean())  # of speech and pauses

    def hit(probability: float) -> bool:
        return rng.random() < probability * strength

    if hit(config.pause):
        _pause(power, rng.uniform(*config.pause_fraction), rng)
    if hit(config.reverberation):
        t60_s, direct_db = rng.uniform(*config.reverberation_t60_s), rng.uniform(*config.reverberation_direct_db)
        power = _reverberate(power, t60_s, direct_db)
    if hit(config.babble):
        other = np.exp(somebody_else(rng))
        snr_db = rng.uniform(*config.babble_snr_db)
        power += level / float(other.mean()) * math.exp(-snr_db * DB) * other
    if hit(config.noise):
        shape = np.exp(_smooth_curve(rng, n_mels, 12.0 * DB)) * _envelope(rng, n_frames)
        shape *= rng.gamma(4.0, 0.25, shape.shape)  # mel power of noise fluctuates about its mean
        snr_db = rng.uniform(*config.noise_snr_db)
        power += level * math.exp(-snr_db * DB) / shape.mean() * shape
    if hit(config.channel):
        power *= np.exp(_smooth_curve(rng, n_mels, config.channel_db * DB))
    if hit(config.band_limit):
        power[rng.integers(int(0.6 * n_mels), int(0.8 * n_mels)) :] *= 10.0 ** rng.uniform(-6.0, -3.0)
        power[: rng.integers(0, 6)] *= 10.0 ** rng.uniform(-3.0, -1.0)
    if config.gain_db:
        power *= math.exp(rng.uniform(-config.gain_db, config.gain_db) * DB)
    changed: NDArray[np.float32] = np.log(power + np.float32(LOG_FLOOR))
    if hit(config.mask):
        fill = changed.mean(axis=1, keepdims=True)
        n_hidden = int(rng.integers(0, config.mask_n_mels + 1))
        low = int(rng.integers(0, n_mels - n_hidden + 1))
        changed[low : low + n_hidden] = fill[low : low + n_hidden]
        n_hidden = int(rng.integers(0, int(config.mask_fraction * n_frames) + 1))
        first = int(rng.integers(0, n_frames - n_hidden + 1))
        changed[:, first : first + n_hidden] = fill
    return changed


def _pause(power: NDArray[np.float32], fraction: float, rng: np.random.Generator) -> None:
    """Overwrites `fraction` of the frames, split over both ends, with a random order of the quietest tenth of them."""
    n_frames = power.shape[1]
    n_paused = int(fraction * n_frames)
    n_before = int(rng.integers(n_paused + 1))
    quietest = np.argsort(power.sum(axis=0))[: max(1, n_frames // 10)]
    chosen = power[:, rng.choice(quietest, n_paused)]
    power[:, :n_before] = chosen[:, :n_before]
    power[:, n_frames - (n_paused - n_before) :] = chosen[:, n_before:]


def _reverberate(power: NDArray[np.float32], t60_s: float, direct_db: float) -> NDArray[np.float32]:
    """Adds an exponential tail whose energy is `direct_db` below the direct sound; power is (n_mels, n_frames)."""
    decay = 10.0 ** (-6.0 * HOP_S / t60_s)
    tail = lfilter([0.0, 1.0 - decay], [1.0, -decay], power, axis=1)
    mixed: NDArray[np.float32] = (power + tail * 10.0 ** (-direct_db / 10.0)).astype(np.float32)
    return mixed


def _smooth_curve(rng: np.random.Generator, n_mels: int, spread: float) -> NDArray[np.float64]:
    """A random smooth curve over mel bins, standard deviation about `spread`: (n_mels, 1)."""
    order = np.arange(1, 6)
    waves = np.cos(np.pi * order[:, None] * (np.arange(n_mels)[None, :] + 0.5) / n_mels)
    curve: NDArray[np.float64] = (rng.normal(0.0, 1.0, len(order)) / order) @ waves * spread
    return curve[:, None]


def _envelope(rng: np.random.Generator, n_frames: int) -> NDArray[np.float64]:
    """Slow random loudness of the noise over time, 3 dB or so: (n_frames,)."""
    knots = rng.normal(0.0, 3.0 * DB, 8)
    loudness: NDArray[np.float64] = np.exp(np.interp(np.linspace(0.0, 7.0, n_frames), np.arange(8), knots))
    return loudness
