"""Speakers who trained the encoder -> the cohort that scores are normalised with, and which corpus each comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from model.scoring import COHORT_DTYPE, Cohort, Embedding, reference
from training.dataset import PreparedUtterance
from training.heard import hear_whole

N_CLIPS = 4
"""Clips of each speaker: the mean of a few is already the speaker's."""
N_VOICES = 1_000
"""Speakers at most, drawn at random from more: a cohort ships in the bundle and is met in every trial."""
N_TOP = 150
MIN_VOICES = 50
"""With fewer, the nearest are no neighbours."""
SEED = 1


@dataclass(frozen=True, eq=False)
class Voices:
    """Candidates for a cohort, one row a speaker."""

    embeddings: Embedding
    corpora: NDArray[np.str_]

    def cohort(self, without_corpus: str | None = None) -> Cohort | None:
        """Of all of them, or of those of other corpora; None where too few are left."""
        embeddings = self.embeddings if without_corpus is None else self.embeddings[self.corpora != without_corpus]
        if len(embeddings) < MIN_VOICES:
            return None
        rounded: Embedding = embeddings.astype(COHORT_DTYPE).astype(np.float32)
        return Cohort(rounded, min(N_TOP, len(embeddings)))


def draw_clips(rows: Sequence[PreparedUtterance]) -> list[PreparedUtterance]:
    """N_CLIPS clips of each of N_VOICES speakers at most, drawn by SEED."""
    by_speaker: dict[str, list[PreparedUtterance]] = {}
    for row in rows:
        by_speaker.setdefault(row.utterance.speaker, []).append(row)
    rng = np.random.default_rng(SEED)
    names = sorted(by_speaker)
    chosen = sorted(names[i] for i in rng.permutation(len(names))[:N_VOICES])
    return [by_speaker[name][i] for name in chosen for i in rng.permutation(len(by_speaker[name]))[:N_CLIPS]]


def hear_voices(module: nn.Module, rows: Sequence[PreparedUtterance]) -> Voices:
    """The mean unit embedding of each speaker's drawn clips. Raises CorpusError for a clip that cannot be heard."""
    drawn = draw_clips(rows)
    heard = hear_whole(module, [row.utterance.path for row in drawn], "cohort")
    speakers = np.array([row.utterance.speaker for row in drawn])
    corpora = np.array([row.utterance.corpus for row in drawn])
    names, first = np.unique(speakers, return_index=True)
    embeddings = np.array([reference(heard.embeddings[speakers == name]) for name in names], dtype=np.float32)
    return Voices(embeddings, corpora[first])
