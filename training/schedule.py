"""What a step of a run is like: everything that changes along it but the learning rate."""

from __future__ import annotations

from dataclasses import dataclass

from training.recipe import Recipe


@dataclass(frozen=True)
class StepSettings:
    crop_s: tuple[float, float]
    softmax_margin: float
    contrastive_weight: float
    augment_strength: float
    """Scales the probability of every effect that is drawn anew, and is the share of crops that may be of a rendered version."""


def settings_at(recipe: Recipe, step: int) -> StepSettings:
    """The settings of a step, counted from 0: margins ramp up, then the fine-tune's hold to the end."""
    progress = step / recipe.n_steps
    loss = recipe.loss
    if progress >= recipe.finetune.start:
        tuned = recipe.finetune
        return StepSettings(tuned.crop_s, tuned.softmax_margin, loss.contrastive_weight, tuned.augment_strength)
    start, end = loss.margin_ramp
    ramp = 1.0 if end <= start else min(1.0, max(0.0, (progress - start) / (end - start)))
    strength = min(1.0, step / recipe.augment.ramp_steps) if recipe.augment.ramp_steps else 1.0
    return StepSettings(recipe.sampling.crop_s, ramp * loss.softmax_margin, ramp * loss.contrastive_weight, strength)
