"""Reverberation by simulated rooms (image sources, pyroomacoustics): shoebox rooms of living and working size."""

from __future__ import annotations

import numpy as np
import pyroomacoustics
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from model.waveform import SAMPLE_RATE_HZ, Samples

MAX_ORDER = 17
"""Reflections that are followed; later ones are under the noise of most recordings, and cost the cube of this."""


def random_room(rng: np.random.Generator, t60_s: tuple[float, float] = (0.15, 0.7)) -> Samples:
    """An impulse response at 16 kHz, from its direct sound on, of energy 1: (n_samples,)."""
    size_m = np.array([rng.uniform(3.0, 9.0), rng.uniform(2.5, 7.0), rng.uniform(2.3, 3.5)])
    absorption, order = _absorption(float(rng.uniform(*t60_s)), size_m)
    room = pyroomacoustics.ShoeBox(
        size_m, fs=SAMPLE_RATE_HZ, materials=pyroomacoustics.Material(absorption), max_order=min(order, MAX_ORDER)
    )
    microphone_m = rng.uniform(0.15, 0.85, 3) * size_m
    distance_m = rng.uniform(0.2, 2.5)
    direction = rng.normal(size=3) * [1.0, 1.0, 0.3]
    source_m = microphone_m + distance_m * direction / np.linalg.norm(direction)
    room.add_source(np.clip(source_m, 0.1, size_m - 0.1))
    room.add_microphone(microphone_m)
    room.compute_rir()
    response = np.asarray(room.rir[0][0], dtype=np.float32)
    response = response[int(np.argmax(np.abs(response))) :]  # the direct sound is the loudest: the clip stays in time
    scaled: Samples = response / np.float32(np.sqrt(np.sum(response**2)))
    return scaled


def _absorption(t60_s: float, size_m: NDArray[np.float64]) -> tuple[float, int]:
    """Energy absorption of the walls for a reverberation time, and the order that covers it."""
    try:
        absorption, order = pyroomacoustics.inverse_sabine(t60_s, size_m)
    except ValueError:  # so dry that no wall absorbs enough: the driest there is
        return 0.99, 1
    return min(float(absorption), 0.99), int(order)


def reverberate(samples: Samples, response: Samples) -> Samples:
    """(n,) through a room: (n,), the tail past the end cut off."""
    wet: Samples = oaconvolve(samples, response)[: len(samples)].astype(np.float32)
    return wet
