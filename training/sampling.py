"""Which crops make a batch. A batch is a function of (seed, step, rank) alone, so a resumed run sees what it would have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.crops import CropSource


@dataclass(frozen=True)
class Batch:
    """`log_mels` (n_crops, n_mels, n_frames) float32, each crop's class and its group (a clip in a voice).

    Of `pairs`, crops 2i and 2i + 1 form pair i; of `speakers`, K crops in a row are of one speaker.
    """

    log_mels: Tensor
    labels: Tensor
    groups: NDArray[np.int64]


@dataclass(frozen=True)
class Crop:
    frames: NDArray[np.float32]
    label: int
    group: int


class CropSampler:
    """Draws crops of classes; crops of one class come from different clips, or from disjoint parts of one clip."""

    def __init__(self, source: CropSource, seed: int, rank: int = 0) -> None:
        self.source = source
        self.seed = seed
        self.rank = rank
        self.usable = np.array([label for label, groups in enumerate(source.groups_of) if groups])

    def rng(self, step: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, step, self.rank])

    def crops(
        self, label: int, n_crops: int, n_frames: int, rng: np.random.Generator, rendered: float = 1.0
    ) -> list[Crop]:
        """`n_crops` of one class, spread over its clips as evenly as can be; a clip drawn m times is cut into m parts.

        A share `rendered` of them is through rooms, noises and codecs, the rest of the clip itself.
        """
        groups = rng.permutation(self.source.groups_of[label])
        drawn = np.resize(groups, n_crops)
        found = []
        for group in dict.fromkeys(drawn.tolist()):
            n_parts = int((drawn == group).sum())
            for part in rng.permutation(n_parts):
                frames = self.source.crop(group, int(part), n_parts, n_frames, rendered, rng)
                found.append(Crop(frames, label, group))
        return found

    def pairs(self, step: int, n_pairs: int, n_frames: int, rendered: float = 1.0) -> Batch:
        """Half the pairs are of one speaker, half of two (the article's balanced pairs)."""
        rng = self.rng(step)
        crops: list[Crop] = []
        for pair in range(n_pairs):
            if pair % 2 == 0:
                crops += self.crops(int(rng.choice(self.usable)), 2, n_frames, rng, rendered)
            else:
                for label in rng.choice(self.usable, 2, replace=False):
                    crops += self.crops(int(label), 1, n_frames, rng, rendered)
        return _stack(crops)

    def speakers(
        self, step: int, n_speakers: int, clips_per_speaker: int, n_frames: int, rendered: float = 1.0
    ) -> Batch:
        """P different classes, K crops of each."""
        rng = self.rng(step)
        chosen = rng.choice(self.usable, n_speakers, replace=len(self.usable) < n_speakers)
        crops = [self.crops(int(label), clips_per_speaker, n_frames, rng, rendered) for label in chosen]
        return _stack([crop for of_one in crops for crop in of_one])


def _stack(crops: list[Crop]) -> Batch:
    stacked = torch.from_numpy(np.stack([crop.frames for crop in crops])).transpose(1, 2).contiguous()
    labels = torch.tensor([crop.label for crop in crops])
    return Batch(stacked, labels, np.array([crop.group for crop in crops]))
