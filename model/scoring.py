"""Two embeddings -> cosine score; several enrollments -> one reference.

Embeddings are float32 of shape (n_embedding,). Scores are floats in [-1, 1], higher means more alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Embedding = NDArray[np.float32]


def unit(embeddings: Embedding) -> Embedding:
    """Scales the last axis to length 1. Raises ValueError for a zero or non-finite embedding: it has no direction."""
    norm = np.linalg.norm(embeddings, axis=-1, keepdims=True)
    if not np.all(np.isfinite(norm)) or np.any(norm == 0):
        raise ValueError("an embedding is zero or not finite")
    scaled: Embedding = (embeddings / norm).astype(np.float32)
    return scaled


def cosine_score(a: Embedding, b: Embedding) -> float:
    """Cosine of the angle between two embeddings of any length, in [-1, 1]."""
    return float(np.clip(np.dot(unit(a).astype(np.float64), unit(b).astype(np.float64)), -1.0, 1.0))


def reference(embeddings: Embedding) -> Embedding:
    """(n_enrollments, n_embedding) -> the speaker's unit reference: the mean of the unit embeddings, scaled to 1."""
    return unit(unit(embeddings).mean(axis=0))
