"""The CropSource that a recipe asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from training.crops import CropSource
from training.dataset import PreparedUtterance
from training.feature_store import open_features
from training.recipe import Recipe
from training.waveform_store import open_waveforms


def open_crop_source(recipe: Recipe, rows: Sequence[PreparedUtterance], folder: Path, workers: int = 1) -> CropSource:
    """Opens it in `folder`, computing first what is not there yet on `workers` processes."""
    opened = open_waveforms if recipe.render.anew else open_features
    return opened(
        rows,
        recipe.encoder.n_mels,
        folder,
        voices=recipe.data.voices,
        render=recipe.render,
        seed=recipe.seed,
        workers=workers,
    )
