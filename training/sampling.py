"""Which crops make a batch.

The crops of each pair or speaker of a batch are a function of (seed, step, its number in the batch) alone. So a resumed
run sees what it would have, and several processes see between them what one would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.crops import CropSource

WHO_STREAM = 0
CROP_STREAM = 3
"""Beside those of `drawing.py`."""


@dataclass(frozen=True)
class Batch:
    """`log_mels` (n_crops, n_mels, n_frames) float32, each crop's class and its group (a clip in a voice).

    Of `pairs`, crops 2i and 2i + 1 form pair i; of `speakers`, K crops in a row are of one speaker.
    """

    log_mels: Tensor
    labels: Tensor
    groups: NDArray[np.int64]
    first: int = 0
    """Number of the first crop in the whole batch, of which a process draws its share."""


@dataclass(frozen=True)
class Crop:
    frames: NDArray[np.float32]
    label: int
    group: int


class CropSampler:
    """Draws crops of classes; crops of one class come from different clips, or from disjoint parts of one clip.

    Of `n_processes` each draws an equal share of every batch, in the order of ranks.
    """

    def __init__(self, source: CropSource, seed: int, rank: int = 0, n_processes: int = 1) -> None:
        self.source = source
        self.seed = seed
        self.rank = rank
        self.n_processes = n_processes
        self.usable = np.array([label for label, groups in enumerate(source.groups_of) if groups])

    def share(self, size: int) -> range:
        """Numbers of the pairs or speakers of a batch that are drawn here."""
        n_own = size // self.n_processes
        return range(self.rank * n_own, (self.rank + 1) * n_own)

    def rng(self, step: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, step, number, CROP_STREAM])

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

    def somebody_else(self, label: int, n_frames: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(n_mels, n_frames) of any other class, as it was recorded."""
        other = rng.choice(self.usable[self.usable != label])
        group = int(rng.choice(self.source.groups_of[other]))
        return self.source.crop(group, 0, 1, n_frames, 0.0, rng).T

    def pairs(self, step: int, n_pairs: int, n_frames: int, rendered: float = 1.0) -> Batch:
        """Half the pairs are of one speaker, half of two (the article's balanced pairs)."""
        share = self.share(n_pairs)
        crops: list[Crop] = []
        for pair in share:
            rng = self.rng(step, pair)
            if pair % 2 == 0:
                crops += self.crops(int(rng.choice(self.usable)), 2, n_frames, rng, rendered)
            else:
                for label in rng.choice(self.usable, 2, replace=False):
                    crops += self.crops(int(label), 1, n_frames, rng, rendered)
        return _stack(crops, 2 * share.start)

    def speakers(
        self, step: int, n_speakers: int, clips_per_speaker: int, n_frames: int, rendered: float = 1.0
    ) -> Batch:
        """P different classes, K crops of each."""
        who = np.random.default_rng([self.seed, step, 0, WHO_STREAM])
        chosen = who.choice(self.usable, n_speakers, replace=len(self.usable) < n_speakers)
        share = self.share(n_speakers)
        crops = [
            self.crops(int(chosen[number]), clips_per_speaker, n_frames, self.rng(step, number), rendered)
            for number in share
        ]
        return _stack([crop for of_one in crops for crop in of_one], clips_per_speaker * share.start)


def _stack(crops: list[Crop], first: int) -> Batch:
    stacked = torch.from_numpy(np.stack([crop.frames for crop in crops])).transpose(1, 2).contiguous()
    labels = torch.tensor([crop.label for crop in crops])
    return Batch(stacked, labels, np.array([crop.group for crop in crops]), first)
