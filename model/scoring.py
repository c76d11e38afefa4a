"""Two embeddings -> cosine score; several enrollments -> one reference; a cohort -> normalised score.

Embeddings are float32 of shape (n_embedding,). Cosine scores are floats in [-1, 1], higher means more alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Embedding = NDArray[np.float32]


def unit(embeddings: Embedding) -> Embedding:
    """Scales the last axis to length 1. Raises ValueError for a zero or non-finite embedding: it has no direction."""
    if embeddings.ndim == 1:  # one by one is how the service does it, dozens of times in an identification
        length = np.float32(math.sqrt(_square(embeddings)))
        return np.asarray(embeddings / length, dtype=np.float32)
    norm = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norm)) or np.any(norm == 0):
        raise ValueError(_NO_DIRECTION)
    scaled: Embedding = (embeddings / norm).astype(np.float32)
    return scaled


def cosine_score(a: Embedding, b: Embedding) -> float:
    """Cosine of the angle between two embeddings of any length, in [-1, 1]. Raises ValueError where one has no direction."""
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    cosine = float(np.dot(a64, b64)) / math.sqrt(_square(a64) * _square(b64))
    return min(1.0, max(-1.0, cosine))


def _square(embedding: NDArray[np.floating[Any]]) -> float:
    """Of the length of one embedding. Raises ValueError where it is zero or not finite."""
    square = float(np.dot(embedding, embedding))
    if not 0.0 < square < math.inf:
        raise ValueError(_NO_DIRECTION)
    return square


_NO_DIRECTION = "an embedding is zero or not finite"


def reference(embeddings: Embedding) -> Embedding:
    """(n_enrollments, n_embedding) -> the speaker's unit reference: the mean of the unit embeddings, scaled to 1."""
    if len(embeddings) == 1:
        return unit(embeddings[0])
    return unit(unit(embeddings).mean(axis=0))


COHORT_DTYPE = np.dtype("<f2")
"""Rounding moves a cosine by 1e-4 at most, and halves the file."""
MIN_SPREAD = 1e-3
"""Under this a cohort's best scores count as equal: nothing is divided by less."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Voices that are nobody's claim: how alike a clip is to the nearest of them says what its scores are worth.

    Adaptive symmetric normalisation (Matejka et al., 2017): a score is measured from the mean of each side's `n_top`
    highest cosines with the cohort, in their standard deviations. A cohort is made of speakers who trained the encoder,
    never of users.
    """

    embeddings: Embedding
    """(n_voices, n_embedding), of unit length but for the rounding to float16 in which it is kept."""
    n_top: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cohort) and self.n_top == other.n_top and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash((self.n_top, self.to_bytes()))

    def to_bytes(self) -> bytes:
        """The embeddings as they are kept: little-endian float16, row by row."""
        return self.embeddings.astype(COHORT_DTYPE).tobytes()

    def __post_init__(self) -> None:
        if not 2 <= self.n_top <= len(self.embeddings):
            raise ValueError(
                f"n_top is between 2 and the {len(self.embeddings)} voices of the cohort; got {self.n_top}"
            )

    def statistics(self, embeddings: Embedding) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(..., n_embedding) unit -> (mean, standard deviation) of the highest cosines of each, both of shape (...)."""
        scores = embeddings.astype(np.float64) @ self.embeddings.astype(np.float64).T
        highest = np.partition(scores, len(self.embeddings) - self.n_top, axis=-1)[..., -self.n_top :]
        return highest.mean(axis=-1), np.maximum(highest.std(axis=-1), MIN_SPREAD)
