"""Opening an encoder for scoring, be it a run's checkpoint or a bundle, and embedding clips with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track
from torch import nn

from model.bundle import CARD, load_bundle
from model.bundle_encoder import open_encoder_in
from model.embedding import embed
from model.encoder import SiameseEncoder
from model.errors import InvalidArgument
from model.scoring import Embedding
from training.checkpoint import encoder_id, load_checkpoint, waveform_encoder
from training.dataset import read_clip
from training.importers.folder import is_imported, read_import


@dataclass(frozen=True, eq=False)
class OpenedEncoder:
    name: str
    encoder_id: str
    module: nn.Module
    """Called as module(samples, lengths), like an exported encoder."""
    siamese: SiameseEncoder | None
    """The eager network, where a checkpoint was opened."""
    training_sha256: str | None
    """Hash of the train split that it drew its clips from, where a checkpoint was opened."""


def open_encoder(path: Path) -> OpenedEncoder:
    """A bundle's folder, an imported one, a run's (its last checkpoint) or a checkpoint file.

    Raises InvalidArgument or BundleError.
    """
    if (path / CARD).is_file():
        bundle = load_bundle(path)
        return OpenedEncoder(bundle.bundle_id, bundle.encoder_id, open_encoder_in(path, bundle.card), None, None)
    if is_imported(path):
        facts = read_import(path)
        return OpenedEncoder(
            facts["about"]["name"], facts["encoder_id"], open_encoder_in(path, facts["about"]), None, None
        )
    file = path / "last.pt" if path.is_dir() else path
    if not file.is_file():
        raise InvalidArgument(f"{path} is neither a bundle, nor a run's folder, nor a checkpoint")
    checkpoint = load_checkpoint(file)
    module = waveform_encoder(checkpoint)
    assert isinstance(module.encoder, SiameseEncoder)
    identity = encoder_id(checkpoint, module)
    return OpenedEncoder(checkpoint.recipe.name, identity, module, module.encoder, checkpoint.training_data["sha256"])


def embed_files(module: nn.Module, paths: Sequence[Path], title: str) -> Embedding:
    """Whole clips through the service's own decoder: (n_clips, n_embedding) float32, not scaled.

    Raises CorpusError naming a clip that cannot be decoded or is shorter than one frame.
    """
    return np.concatenate([embed(module, [read_clip(path)]) for path in track(paths, description=title)])
