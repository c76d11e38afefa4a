"""Where crops come from: a CropSource gives a stretch of a clip in a voice, as log-mel frames."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class CropSource(Protocol):
    """Groups are clips in a voice, numbered from 0; each belongs to one class, a speaker in a voice."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    @property
    def groups_of(self) -> list[list[int]]:
        """The groups of each class."""
        ...

    def crop(
        self, group: int, part: int, n_parts: int, n_frames: int, rendered: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """(n_frames, n_mels) out of the given one of `n_parts` equal parts of the clip, a shorter part repeated.

        With probability `rendered` through the recipe's rooms, noises and codecs.
        """
        ...


def crop_frames(clip: NDArray[np.float16], n_frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random stretch of n_frames; a shorter clip is repeated until it fills them."""
    if len(clip) <= n_frames:
        repeated = np.concatenate([clip] * -(-n_frames // len(clip)))
        return np.roll(repeated, int(rng.integers(len(clip))), axis=0)[:n_frames].astype(np.float32)
    start = int(rng.integers(len(clip) - n_frames + 1))
    return clip[start : start + n_frames].astype(np.float32)


def groups_by_label(labels: NDArray[np.int64], n_classes: int) -> list[list[int]]:
    """The label of each group -> the groups of each label."""
    groups: list[list[int]] = [[] for _ in range(n_classes)]
    for group, label in enumerate(labels.tolist()):
        groups[label].append(group)
    return groups
