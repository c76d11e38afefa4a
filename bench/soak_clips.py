"""What the callers of bench/soak.py send: real voices at many lengths and in many formats, and what is no recording."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import soxr
from voices import encoded, example, of_length

from model.waveform import SAMPLE_RATE_HZ, Samples

WEIGHTS: Mapping[float, float] = {
    0.3: 8, 0.7: 10, 1.0: 20, 1.5: 20, 2.0: 16, 3.0: 12, 5.0: 4, 8.0: 2, 15.0: 0.7, 40.0: 0.3,
}  # fmt: skip
"""How often a clip of so many seconds is sent. Mostly short ones: it is requests that wear a service out, not seconds."""
ENROLLED_S = (3.0, 5.0, 8.0)
"""Of clips to enrol: enough speech in each of them, and enough voice to be held against the speaker's others."""
FORMATS = (
    ("WAV", "PCM_16", 16_000, 1),
    ("WAV", "FLOAT", 44_100, 2),
    ("WAV", "ULAW", 8_000, 1),
    ("FLAC", "PCM_16", 48_000, 1),
    ("OGG", "VORBIS", 16_000, 1),
    ("OGG", "OPUS", 48_000, 1),
    ("MP3", "MPEG_LAYER_III", 44_100, 2),
)
N_FORMATS_EACH = 4
TOO_LONG_S = 125.0


@dataclass(frozen=True)
class Clip:
    voice: str
    duration_s: float
    data: bytes


@dataclass(frozen=True)
class Library:
    good: Sequence[Clip]
    weights: Sequence[float]
    unreadable: Mapping[str, tuple[bytes, int]]
    """Files that no call takes, and the status that each is refused with."""
    silent: bytes

    def any(self, rng: random.Random) -> Clip:
        return rng.choices(self.good, self.weights)[0]

    def to_enroll(self, rng: random.Random, voice: str) -> Clip:
        return rng.choice([clip for clip in self.good if clip.voice == voice and clip.duration_s in ENROLLED_S])

    def bad(self, rng: random.Random) -> tuple[str, bytes, int]:
        """Its name, the file, and the status."""
        name = rng.choice(sorted(self.unreadable))
        return name, *self.unreadable[name]


def library(seed: int) -> Library:
    rng = random.Random(seed)
    said = {
        "a": np.concatenate([example(f"speaker-a-{number}") for number in (1, 2, 3)]),
        "b": example("speaker-b-1"),
    }
    good = [
        Clip(voice, duration_s, _file(of_length(samples, duration_s), *kind))
        for voice, samples in said.items()
        for duration_s in WEIGHTS
        for kind in rng.sample(FORMATS, N_FORMATS_EACH)
    ]
    whole = {kind[1]: _file(of_length(said["a"], 2.0), *kind) for kind in FORMATS}
    silence = np.zeros(2 * SAMPLE_RATE_HZ, dtype=np.float32)
    unreadable = {f"half of {name}": (data[: len(data) // 2], 422) for name, data in whole.items()}
    unreadable |= {
        "an empty file": (b"", 422),
        "a head alone": (whole["PCM_16"][:44], 422),
        "text": (b"This is no recording. " * 50, 415),
        "AIFF": (encoded(said["b"], "AIFF"), 415),
        "noise": (rng.randbytes(20_000), 415),
        "a clip that is too long": (_file(of_length(said["a"], TOO_LONG_S), "OGG", "VORBIS", 8_000, 1), 422),
        "silence that is too long": (_file(np.resize(silence, 130 * SAMPLE_RATE_HZ), "FLAC", "PCM_16", 16_000, 1), 422),
    }
    return Library(good, [WEIGHTS[clip.duration_s] for clip in good], unreadable, encoded(silence))


def _file(samples: Samples, container: str, encoding: str, rate_hz: int, n_channels: int) -> bytes:
    resampled = soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz)
    return encoded(np.repeat(resampled[:, None], n_channels, axis=1), container, encoding, rate_hz)
