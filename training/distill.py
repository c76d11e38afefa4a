"""A teacher's embeddings as targets: what another encoder makes of each training clip, in each voice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional as F

from model.bundle import encoder_id_of
from model.embedding import embed
from model.errors import InvalidArgument
from model.scoring import Embedding, unit
from training.augment.render import RenderConfig
from training.augment.voices import Voice
from training.dataset import PreparedUtterance
from training.encoders import open_encoder
from training.feature_store import ShardKey, by_corpus, voiced_clips
from training.importers.folder import is_imported, read_import
from training.importers.sources import ImportOptions, read_source
from training.once import compute_once
from training.row_workers import mapped

INSTALLED = "resemblyzer"
"""The teacher that a Python package carries; any other is a folder."""


@dataclass(frozen=True, eq=False)
class Teacher:
    name_or_path: str
    """What `open_teacher` was given."""
    name: str
    encoder_id: str
    module: nn.Module
    """Called as module(samples, lengths), like an exported encoder."""
    initialisation: str
    """Where its weights come from, for the card."""

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "encoder_id": self.encoder_id, "initialisation": self.initialisation}


def open_teacher(name_or_path: str) -> Teacher:
    """`resemblyzer`, the encoder of the installed package; or a folder: a bundle, an import or a run.

    Raises InvalidArgument or BundleError where it is not there.
    """
    if name_or_path == INSTALLED and not Path(name_or_path).exists():
        found = read_source(INSTALLED, None, ImportOptions())
        identity = encoder_id_of(found.module, found.front_end, found.network)
        return Teacher(
            name_or_path, INSTALLED, identity, found.module, f"{found.provenance.source} ({found.provenance.licence})"
        )
    path = Path(name_or_path)
    if not path.exists():
        raise InvalidArgument(
            f"the recipe's teacher {name_or_path} is not there: it is {INSTALLED}, or the folder of a bundle, an import or a "
            "run; the recipe plain needs none"
        )
    opened = open_encoder(path)
    initialisation = "see its own card"
    if is_imported(path):
        about = read_import(path)["about"]
        initialisation = f"{about['training']['initialisation']} ({about['licence']})"
    return Teacher(name_or_path, opened.name, opened.encoder_id, opened.module, initialisation)


def teacher_targets(
    teacher: Teacher, rows: Sequence[PreparedUtterance], voices: Sequence[Voice], folder: Path, workers: int = 1
) -> Embedding:
    """(n_groups, n_teacher) unit float32: the whole clean clip of each group of the feature store, in its order.

    What all embeddings have in common is taken out first: it tells no two speakers apart, and of an encoder that keeps
    every cosine near 1 it would be most of the target. Computed once for a teacher and a corpus, by `workers` processes, and kept in `folder`.
    """
    targets = np.concatenate([_of_corpus(teacher, corpus, voices, folder, workers) for corpus in by_corpus(rows)])
    return unit(targets - targets.mean(axis=0))


def _of_corpus(
    teacher: Teacher, rows: Sequence[PreparedUtterance], voices: Sequence[Voice], folder: Path, workers: int
) -> Embedding:
    key = ShardKey(tuple(rows), tuple(voices), RenderConfig(), 0, 0)
    path = folder / f"targets-{key.digest()}-{teacher.encoder_id}.npy"
    compute_once(path, lambda: _ask(teacher, key, path, workers))
    kept: Embedding = np.load(path)
    return kept


def _ask(teacher: Teacher, key: ShardKey, path: Path, workers: int) -> None:
    with mapped(_Pupil, (teacher.name_or_path, key), len(key.rows), workers) as answers:
        description = f"Asking the teacher about {key.rows[0].utterance.corpus}"
        found = [answer for answer in track(answers, description=description, total=len(key.rows)) if len(answer)]
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, unit(np.concatenate(found)))
    part.replace(path)


class _Pupil:
    """Asks about the clips of one row: the teacher's embedding of each voice, or of none where the clip is left out."""

    def __init__(self, asked: tuple[str, ShardKey]) -> None:
        name_or_path, self.key = asked
        # Making a network draws weights that are then read over: without a fork, whether targets were kept from an earlier
        # run would decide with which weights the encoder begins.
        with torch.random.fork_rng(devices=[]):
            self.teacher = open_teacher(name_or_path)

    def __call__(self, index: int) -> Embedding:
        clips = [samples for _, samples in voiced_clips(self.key.rows[index], self.key.voices)]
        return embed(self.teacher.module, clips) if clips else np.zeros((0, 0), np.float32)


class Distillation(nn.Module):
    """Mean of 1 - cosine between student embeddings (n, n_student) and targets (n, n_teacher).

    Embeddings of another size than the teacher's are projected, and the projection is learnt.
    """

    def __init__(self, n_student: int, n_teacher: int) -> None:
        super().__init__()
        self.projection = nn.Identity() if n_student == n_teacher else nn.Linear(n_student, n_teacher)

    def forward(self, embeddings: Tensor, targets: Tensor) -> Tensor:
        return (1.0 - F.cosine_similarity(self.projection(embeddings), targets, dim=1)).mean()
