"""Which crops make a batch. A batch is a function of (seed, step) alone, so a resumed run sees what it would have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.dataset import FeatureStore


@dataclass(frozen=True)
class Batch:
    """`log_mels` (n_crops, n_mels, n_frames) float32 and each crop's class. Crops 2i and 2i + 1 form pair i."""

    log_mels: Tensor
    labels: Tensor


def crop_frames(clip: NDArray[np.float16], n_frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random stretch of n_frames; a shorter clip is repeated until it fills them."""
    if len(clip) <= n_frames:
        repeated = np.concatenate([clip] * -(-n_frames // len(clip)))
        return np.roll(repeated, int(rng.integers(len(clip))), axis=0)[:n_frames].astype(np.float32)
    start = int(rng.integers(len(clip) - n_frames + 1))
    return clip[start : start + n_frames].astype(np.float32)


class CropSampler:
    """Draws crops of classes; two crops of one class come from two clips, or are disjoint where there is one clip."""

    def __init__(self, features: FeatureStore, seed: int) -> None:
        self.features = features
        self.seed = seed
        order = np.argsort(features.labels, kind="stable")
        bounds = np.searchsorted(features.labels[order], np.arange(len(features.classes) + 1))
        self.clips_of = [order[bounds[i] : bounds[i + 1]] for i in range(len(features.classes))]
        self.usable = np.array([label for label, clips in enumerate(self.clips_of) if len(clips)])

    def rng(self, step: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, step])

    def two_crops(self, label: int, n_frames: int, rng: np.random.Generator) -> list[NDArray[np.float32]]:
        clips = self.clips_of[label]
        if len(clips) > 1:
            return [crop_frames(self.features.clip(i), n_frames, rng) for i in rng.choice(clips, 2, replace=False)]
        clip = self.features.clip(int(clips[0]))
        cut = len(clip) // 2
        halves = [clip[:cut], clip[cut:]] if rng.random() < 0.5 else [clip[cut:], clip[:cut]]
        return [crop_frames(half if len(half) else clip, n_frames, rng) for half in halves]

    def one_crop(self, label: int, n_frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
        return crop_frames(self.features.clip(int(rng.choice(self.clips_of[label]))), n_frames, rng)

    def pairs(self, step: int, n_pairs: int, n_frames: int) -> Batch:
        """Half the pairs are of one speaker, half of two (the article's balanced pairs)."""
        rng = self.rng(step)
        crops: list[NDArray[np.float32]] = []
        labels: list[int] = []
        for pair in range(n_pairs):
            if pair % 2 == 0:
                a = b = int(rng.choice(self.usable))
                crops += self.two_crops(a, n_frames, rng)
            else:
                a, b = (int(label) for label in rng.choice(self.usable, 2, replace=False))
                crops += [self.one_crop(a, n_frames, rng), self.one_crop(b, n_frames, rng)]
            labels += [a, b]
        return _stack(crops, labels)

    def speakers(self, step: int, n_speakers: int, n_frames: int) -> Batch:
        """Two crops of each of n_speakers different classes."""
        rng = self.rng(step)
        chosen = rng.choice(self.usable, n_speakers, replace=len(self.usable) < n_speakers)
        crops = [crop for label in chosen for crop in self.two_crops(int(label), n_frames, rng)]
        return _stack(crops, [int(label) for label in chosen for _ in range(2)])


def _stack(crops: list[NDArray[np.float32]], labels: list[int]) -> Batch:
    stacked = torch.from_numpy(np.stack(crops)).transpose(1, 2).contiguous()
    return Batch(stacked, torch.tensor(labels))
