"""Checkpoints: all that a run needs to go on exactly where it was, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.bundle import encoder_id_of
from model.encoder import SiameseEncoder, WaveformEncoder
from model.errors import InvalidArgument
from model.features import describe_front_end
from training.fusion import fuse_norms
from training.recipe import Recipe, recipe_from

FORMAT = 2


@dataclass(frozen=True)
class Checkpoint:
    recipe: Recipe
    step: int
    """Steps already taken."""
    encoder: dict[str, Any]
    """The weights that are trained on."""
    average: dict[str, Any] | None
    """Their moving average, where the recipe has one: what is validated and exported."""
    objective: dict[str, Any]
    """State of the loss, and of the projection onto a teacher's embeddings."""
    optimiser: dict[str, Any]
    scheduler: dict[str, Any]
    training_data: dict[str, Any]
    """What the encoder heard: corpora, speakers, clips, hours, and a hash of the split that they are from; goes into the bundle's card."""
    teacher: dict[str, Any] | None
    """Whose embeddings it was taught to match, where there was a teacher; goes into the card."""
    elapsed_s: float


def save_checkpoint(checkpoint: Checkpoint, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = {name: getattr(checkpoint, name) for name in Checkpoint.__dataclass_fields__}
    part = path.with_suffix(".part")
    torch.save({**fields, "recipe": asdict(checkpoint.recipe), "format": FORMAT}, part)
    part.replace(path)


def load_checkpoint(path: Path) -> Checkpoint:
    """Raises InvalidArgument where the file is not a checkpoint of this format."""
    if not path.is_file():
        raise InvalidArgument(f"there is no checkpoint at {path}")
    try:
        fields = torch.load(path, map_location="cpu", weights_only=True)
        version = fields.pop("format")
    except Exception as error:
        raise InvalidArgument(f"{path} is not a checkpoint of vouch-train: {error}") from error
    if version != FORMAT:
        raise InvalidArgument(f"{path} has checkpoint format {version}; this version reads {FORMAT}")
    return Checkpoint(**{**fields, "recipe": recipe_from(fields["recipe"])})


def waveform_encoder(checkpoint: Checkpoint, *, fused: bool = True) -> WaveformEncoder:
    """The eager encoder with its front end, ready to embed: the averaged weights, where there are any.

    `fused` folds norms into convolutions and lays weights out for speed, which is what is exported. Raises InvalidArgument where an earlier version of
    the network made the checkpoint.
    """
    module = WaveformEncoder(checkpoint.recipe.encoder)
    encoder = module.encoder
    assert isinstance(encoder, SiameseEncoder)
    load_weights(encoder, checkpoint.average or checkpoint.encoder)
    if fused:
        fuse_norms(encoder)
        # PyTorch's fast convolutions are closed to one small clip in the ordinary layout: a tenth of its time.
        encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from torch's stub
    return module.eval()


def load_weights(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raises InvalidArgument where the weights are another network's."""
    try:
        module.load_state_dict(dict(weights))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0].rstrip(":")
        raise InvalidArgument(
            f"the checkpoint's weights do not fit the network of its recipe ({reason}); an earlier version of Vouch made it: "
            "train again"
        ) from error


def describe_network(checkpoint: Checkpoint) -> tuple[dict[str, Any], dict[str, Any]]:
    """(front end, network): the parts of an encoder's identity that are not weights."""
    config = checkpoint.recipe.encoder
    return describe_front_end(config.n_mels, config.normalisation), asdict(config)


def encoder_id(checkpoint: Checkpoint, module: WaveformEncoder) -> str:
    """The id that the exported encoder will have."""
    return encoder_id_of(module, *describe_network(checkpoint))
