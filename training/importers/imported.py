"""What an importer made of a source, and the folder that it is written to: all of a bundle but its card.

`imported.json` keeps what the card will say; `sealing.py` writes the card when the encoder is calibrated.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from model.bundle import ENCODER, FRONT_END, GRAPH, IMPORTED, encoder_id_of, file_sha256
from model.bundle_encoder import open_encoder_in
from model.embedding import MIN_SAMPLES
from model.errors import InvalidArgument
from model.onnx_encoder import MAX_DIFFERENCE
from model.torchscript import export_encoder
from model.waveform import SAMPLE_RATE_HZ
from training.export import LIMITS, export_difference
from training.whole_folder import written_whole

IMPORT_LIMITS = (
    "Trained elsewhere: what its training data covers, and whether its speakers are among those of a test here, is known "
    "only as far as its authors say.",
)


@dataclass(frozen=True)
class Provenance:
    """Where weights come from, and what may be done with them; goes into the card."""

    source: str
    """The project and the file, in words."""
    sha256: str
    """Of the source file."""
    licence: str
    training_data: tuple[str, ...]
    """The corpora it was trained on."""


@dataclass(frozen=True, eq=False)
class Imported:
    """What an importer made of a source."""

    module: nn.Module
    """samples and lengths -> embeddings; where there is a graph, samples -> features."""
    graph: Path | None
    """An ONNX file that takes the features."""
    front_end: Mapping[str, Any]
    network: Mapping[str, Any]
    n_parameters: int | None
    provenance: Provenance
    limits: tuple[str, ...] = ()


def write_import(imported: Imported, out: Path, *, name: str, limits: Sequence[str] = ()) -> Path:
    """Writes the folder whole or not at all. `limits` are sentences for the card.

    Raises InvalidArgument where the folder is there already, or the encoder that was written does not embed as the
    one that was read.
    """
    if out.exists():
        raise InvalidArgument(f"{out} is there already; give another folder, or remove it first")
    with written_whole(out) as folder:
        export_encoder(imported.module, folder / (FRONT_END if imported.graph else ENCODER))
        if imported.graph:
            shutil.copyfile(imported.graph, folder / GRAPH)
        about: dict[str, Any] = {
            "name": name,
            "licence": imported.provenance.licence,
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "front_end": dict(imported.front_end),
            "encoder": dict(imported.network),
            "n_parameters": imported.n_parameters,
            "training": {
                "initialisation": f"imported from {imported.provenance.source}, SHA-256 {imported.provenance.sha256}",
                "data": {"corpora": list(imported.provenance.training_data)},
            },
            "limits": [*LIMITS, *IMPORT_LIMITS, *imported.limits, *limits],
        }
        written = open_encoder_in(folder, about)
        if imported.graph is None:
            about["export_difference"] = export_difference(imported.module, written)
            if not about["export_difference"] <= MAX_DIFFERENCE:
                raise InvalidArgument(
                    f"the exported encoder differs from the one that was read by {about['export_difference']:.2g}; at "
                    f"most {MAX_DIFFERENCE:g} is allowed"
                )
        facts = {
            "encoder_id": encoder_id_of(imported.module, imported.front_end, imported.network),
            "n_embedding": _n_embedding(written),
            "about": about,
        }
        (folder / IMPORTED).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return out


def _n_embedding(encoder: nn.Module) -> int:
    """Embeds the shortest clip that there is and a longer one. Raises InvalidArgument unless both have an embedding."""
    sizes = set()
    for n_samples in (MIN_SAMPLES, SAMPLE_RATE_HZ):
        noise = 0.1 * torch.randn(1, n_samples, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            embedding = encoder(noise, torch.tensor([n_samples]))
        if not torch.isfinite(embedding).all():
            raise InvalidArgument(f"the encoder's embedding of {n_samples} samples of noise is not finite")
        sizes.add(embedding.size(1))
    if len(sizes) != 1:
        raise InvalidArgument(f"the encoder's embedding grows with the clip: {sorted(sizes)} dimensions")
    return int(sizes.pop())


def provenance_of(source: str, file: Path, licence: str | None, training_data: Sequence[str] | None) -> Provenance:
    """Raises InvalidArgument where licence or training data are not given: a card without them is worth nothing."""
    if not licence or not training_data:
        raise InvalidArgument(
            f"the card must say what {source} may be used for and what it was trained on: give --licence and, for each "
            "corpus, --training-data"
        )
    return Provenance(source, file_sha256(file), licence, tuple(training_data))
