"""Opening an encoder for scoring, be it a run's checkpoint or a bundle, and embedding clips with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track
from torch import nn

from model.bundle import CARD, load_bundle
from model.calibration import Calibration
from model.embedding import embed
from model.encoder import SiameseEncoder
from model.errors import InvalidArgument
from model.scoring import Embedding
from model.torchscript import load_encoder
from training.checkpoint import load_checkpoint, waveform_encoder
from training.dataset import read_samples


@dataclass(frozen=True, eq=False)
class OpenedEncoder:
    name: str
    module: nn.Module
    """Called as module(samples, lengths), like an exported encoder."""
    siamese: SiameseEncoder | None
    """The eager network, where a checkpoint was opened."""
    calibration: Calibration | None


def open_encoder(path: Path) -> OpenedEncoder:
    """A bundle's folder, a run's folder (its last checkpoint) or a checkpoint file. Raises InvalidArgument or BundleError."""
    if (path / CARD).is_file():
        bundle = load_bundle(path)
        return OpenedEncoder(bundle.bundle_id, load_encoder(bundle.encoder_path), None, bundle.calibration)
    file = path / "last.pt" if path.is_dir() else path
    if not file.is_file():
        raise InvalidArgument(f"{path} is neither a bundle, nor a run's folder, nor a checkpoint")
    checkpoint = load_checkpoint(file)
    module = waveform_encoder(checkpoint)
    assert isinstance(module.encoder, SiameseEncoder)
    return OpenedEncoder(checkpoint.recipe.name, module, module.encoder, None)


def embed_files(module: nn.Module, paths: Sequence[Path], title: str) -> Embedding:
    """Whole clips through the service's own decoder: (n_clips, n_embedding) float32, not scaled."""
    return np.concatenate([embed(module, [read_samples(path)]) for path in track(paths, description=title)])
