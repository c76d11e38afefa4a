"""Noise behind a voice, at a signal-to-noise ratio over the whole clip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.waveform import SAMPLE_RATE_HZ, Samples

POWER_FLOOR = 1e-10
"""-100 dB re full scale: what is quieter counts as silence, and nothing is mixed to it."""


def coloured_noise(n_samples: int, slope_db_per_octave: float, rng: np.random.Generator) -> Samples:
    """(n_samples,) of power 1: 0 dB an octave is white, -3 pink, -6 brown, +3 blue. Flat under 50 Hz."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    frequencies_hz = np.maximum(np.fft.rfftfreq(n_samples, 1 / SAMPLE_RATE_HZ), 50.0)
    octaves = np.log2(frequencies_hz / 1_000.0)
    noise = np.fft.irfft(spectrum * 10.0 ** (slope_db_per_octave * octaves / 20.0), n_samples)
    scaled: Samples = (noise / np.sqrt(np.mean(noise**2) + POWER_FLOOR)).astype(np.float32)
    return scaled


def mix_at_snr(samples: Samples, noise: Samples, snr_db: float) -> Samples:
    """samples + noise scaled so that their mean powers stand at `snr_db`; noise is repeated or cut to fit.

    Silent samples or noise change nothing.
    """
    if len(noise) == 0:
        return samples
    fitted = np.resize(noise, len(samples))
    signal_power, noise_power = float(np.mean(samples**2)), float(np.mean(fitted**2))
    if min(signal_power, noise_power) < POWER_FLOOR:
        return samples
    gain = np.sqrt(signal_power / noise_power * 10.0 ** (-snr_db / 10.0))
    mixed: Samples = (samples + np.float32(gain) * fitted).astype(np.float32)
    return mixed


def babble(voices: Sequence[Samples], n_samples: int, rng: np.random.Generator) -> Samples:
    """Several people at once: each voice at power 1 from a random point on, summed; (n_samples,)."""
    total = np.zeros(n_samples, np.float32)
    for voice in voices:
        power = float(np.mean(voice**2))
        if power < POWER_FLOOR:
            continue
        total += np.resize(np.roll(voice, -int(rng.integers(len(voice)))), n_samples) / np.float32(np.sqrt(power))
    return total
