"""Waveform: what every later stage hears. The one place where the sample rate is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Source:
    """What the upload was before it became a Waveform."""

    format: str
    """Container, and the codec where the container does not imply it: `wav`, `ogg/opus`, `webm/opus` …"""
    sample_rate_hz: int
    channels: int


@dataclass(frozen=True, eq=False)
class Waveform:
    """Mono audio at 16 kHz.

    `samples` is float32 of shape (n_samples,), finite, nominally in [-1, 1] (lossy codecs overshoot a little).
    """

    samples: Samples
    source: Source

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ
