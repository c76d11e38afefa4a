"""The chain over a waveform: room, other sounds, microphone and line, in the order in which they happen.

Rooms and codecs are too slow to draw anew for every crop where the encoder trains on the same CPU, so by default each clip
is rendered once into a few versions, and every crop is taken from one of them; what is cheap (`mel.py`) is drawn anew
for every crop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model.waveform import Samples
from training.augment.codecs import random_codec
from training.augment.noise import babble, coloured_noise, mix_at_snr
from training.augment.rooms import random_room, reverberate

ROOM_STREAM = 7
"""Apart from the streams of clips, so that a room's number says nothing about who speaks in it."""


@dataclass(frozen=True)
class RenderConfig:
    """Versions of each clip, and the probability that each effect is in one; the first version is the clip itself."""

    n_versions: int = 1
    anew: bool = False
    """Render every crop anew instead of every clip ahead: less disk and more variety, for more CPU. One crop in
    `n_versions` is then still the clip itself."""
    n_rooms: int = 64
    room: float = 0.5
    room_t60_s: tuple[float, float] = (0.15, 0.7)
    noise: float = 0.4
    noise_snr_db: tuple[float, float] = (5.0, 25.0)
    noise_slope_db: tuple[float, float] = (-6.0, 1.0)
    """Decibels an octave: from brown past white."""
    babble: float = 0.25
    babble_snr_db: tuple[float, float] = (8.0, 22.0)
    babble_voices: tuple[int, int] = (3, 6)
    codec: float = 0.35

    def __post_init__(self) -> None:
        if self.n_versions < 1 or self.n_rooms < 1:
            raise ValueError("n_versions and n_rooms are at least 1")


def build_rooms(config: RenderConfig, seed: int) -> list[Samples]:
    """The impulse responses that versions are rendered with; none where no version needs one."""
    if config.n_versions == 1 or config.room == 0:
        return []
    return [
        random_room(np.random.default_rng([seed, ROOM_STREAM, i]), config.room_t60_s) for i in range(config.n_rooms)
    ]


def render(
    samples: Samples,
    config: RenderConfig,
    rooms: Sequence[Samples],
    other_voice: Callable[[np.random.Generator], Samples],
    rng: np.random.Generator,
) -> Samples:
    """One version of a clip: (n,) -> (n,), its peak at most 1. `other_voice` draws a clip of somebody else."""
    heard = samples
    if rooms and rng.random() < config.room:
        heard = reverberate(heard, rooms[int(rng.integers(len(rooms)))])
    if rng.random() < config.babble:
        voices = [other_voice(rng) for _ in range(int(rng.integers(*config.babble_voices)))]
        heard = mix_at_snr(heard, babble(voices, len(heard), rng), float(rng.uniform(*config.babble_snr_db)))
    if rng.random() < config.noise:
        noise = coloured_noise(len(heard), float(rng.uniform(*config.noise_slope_db)), rng)
        heard = mix_at_snr(heard, noise, float(rng.uniform(*config.noise_snr_db)))
    heard = heard / np.float32(max(1.0, float(np.abs(heard).max(initial=0.0))))
    if rng.random() < config.codec:
        heard = random_codec(heard, rng)
    return heard
