"""The batch of a step: which crops, how long, and what happens to them.

All of it is a function of the recipe's seed, the step and the crop's number in the batch; of several processes each
draws its share of what one would draw.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from model.features import FRAMES_PER_S
from training.augment.mel import augment
from training.recipe import Recipe
from training.sampling import Batch, CropSampler
from training.schedule import settings_at

AUGMENTATION_STREAM = 1
"""Apart from the sampler's own streams, so that who is in a batch says nothing about what happens to the crops."""
LENGTH_STREAM = 2
"""Apart from both."""


def draw(recipe: Recipe, sampler: CropSampler, step: int) -> Batch:
    """The sampler's share of a step's batch: crops of one random length, augmented."""
    settings = settings_at(recipe, step)
    crop_s = np.random.default_rng([recipe.seed, step, 0, LENGTH_STREAM]).uniform(*settings.crop_s)
    n_frames = round(crop_s * FRAMES_PER_S)
    size = recipe.sampling.batch_size
    if recipe.sampling.kind == "pairs":
        batch = sampler.pairs(step, size, n_frames, settings.augment_strength)
    else:
        batch = sampler.speakers(step, size, recipe.sampling.clips_per_speaker, n_frames, settings.augment_strength)
    changed = [
        augment(
            log_mel,
            recipe.augment,
            np.random.default_rng([recipe.seed, step, number, AUGMENTATION_STREAM]),
            partial(sampler.somebody_else, label, n_frames),
            settings.augment_strength,
        )
        for number, (log_mel, label) in enumerate(
            zip(batch.log_mels.numpy(), batch.labels.tolist(), strict=True), start=batch.first
        )
    ]
    return Batch(torch.from_numpy(np.stack(changed)), batch.labels, batch.groups, batch.first)
