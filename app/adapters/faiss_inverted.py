"""How a gallery that is too large to scan gets its centroids, and finds out how many lists a search must look into.

Nothing here is trusted: an inverted file is taken only if, on voices of this very gallery, it finds whom the scan of
everything finds. The products are torch's, which keeps to the one thread that the service gives it; the rows come list
by list, so that little more than one copy of the gallery is in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from app.adapters.faiss_index import Centroids, Numbers
from model.scoring import Embedding, unit

Rows = Iterable[tuple[Numbers, Embedding]]
"""Blocks of numbers, (n,), and embeddings, (n, n_embedding)."""

N_SAMPLED_PER_LIST = 64
N_ROUNDS = 8
"""Of k-means; more did not change how many lists a search needs."""
N_TRIALS = 2000
MIN_AGREEMENT = 0.9995
TRIAL_COSINE = 0.65
"""Of a probe with its own reference: a clip that is short or noisy."""
LARGEST_SHARE = 0.25
"""Of the lists: where a search must look into more, it gains too little."""
SEED = 1


@dataclass(frozen=True)
class Found:
    """What came of the search for centroids."""

    centroids: Centroids | None
    """None where a search must look into too many lists to find what the scan finds."""
    n_lists: int
    n_probed: int
    """Lists that a search must look into for MIN_AGREEMENT."""


FindCentroids = Callable[[Callable[[], Rows], int, Callable[[], None]], Found]


def find_centroids(rows: Callable[[], Rows], n_rows: int, proceed: Callable[[], None]) -> Found:
    """Trains on a sample and tries it out. `rows()` gives the gallery, anew at every call; `n_rows` is about its size.

    `proceed()` is called every now and then, and may raise to end the work.
    """
    rng = np.random.default_rng(SEED)
    n_lists = max(4, 2 ** round(math.log2(math.sqrt(n_rows))))
    sample = _sample(rows(), n_rows, n_lists * N_SAMPLED_PER_LIST, rng)
    centroids = _k_means(sample, min(n_lists, len(sample)), rng, proceed)
    trials = _perturbed(sample[rng.permutation(len(sample))[:N_TRIALS]], rng)
    n_probed = _lists_needed(trials, centroids, rows(), proceed)
    is_worth_it = n_probed <= LARGEST_SHARE * len(centroids)
    return Found(Centroids(centroids, n_probed) if is_worth_it else None, len(centroids), n_probed)


def _sample(rows: Rows, n_rows: int, n_wanted: int, rng: np.random.Generator) -> Embedding:
    """About n_wanted of the rows, at random."""
    share = min(1.0, n_wanted / max(n_rows, 1))
    taken = [embeddings[rng.random(len(embeddings)) < share] for _, embeddings in rows]
    return unit(np.concatenate(taken))


def _k_means(sample: Embedding, n_lists: int, rng: np.random.Generator, proceed: Callable[[], None]) -> Embedding:
    """Spherical k-means: (n_lists, n_embedding), unit. A centroid without a row stays where it was."""
    centroids = sample[rng.choice(len(sample), n_lists, replace=False)]
    for _ in range(N_ROUNDS):
        nearest = np.concatenate([_best(part, centroids)[1] for part in _parts(sample, proceed)])
        order = np.argsort(nearest, kind="stable")
        owners, first_rows = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(sample[order], first_rows, axis=0)
        has_direction = np.linalg.norm(sums, axis=1) > 1e-6
        centroids = centroids.copy()
        centroids[owners[has_direction]] = unit(sums[has_direction])
    return centroids


def _perturbed(embeddings: Embedding, rng: np.random.Generator) -> Embedding:
    """Probes at TRIAL_COSINE from these references, in random directions."""
    noise = rng.standard_normal(embeddings.shape).astype(np.float32)
    noise -= np.sum(noise * embeddings, axis=1, keepdims=True) * embeddings
    return unit(np.float32(TRIAL_COSINE) * embeddings + np.float32(math.sqrt(1 - TRIAL_COSINE**2)) * unit(noise))


def _lists_needed(trials: Embedding, centroids: Embedding, rows: Rows, proceed: Callable[[], None]) -> int:
    """The smallest power of two, or all lists, with which MIN_AGREEMENT of the trials find the best of all rows.

    A search finds it if, and only if, it looks into the list where it lies.
    """
    best = np.full(len(trials), -np.inf, np.float32)
    lies_in = np.zeros(len(trials), np.int64)
    for _, block in rows:
        for part in _parts(block, proceed):
            scores, found = _best(trials, part)
            is_better = scores > best
            best[is_better] = scores[is_better]
            lies_in[is_better] = _best(part[found[is_better]], centroids)[1]
    cosines = trials @ centroids.T
    own = np.take_along_axis(cosines, lies_in[:, np.newaxis], axis=1)
    ranks = np.sort(np.sum(cosines > own, axis=1) + 1)
    needed = int(ranks[math.ceil(MIN_AGREEMENT * len(ranks)) - 1])
    return min(1 << (needed - 1).bit_length(), len(centroids))


def _best(probes: Embedding, rows: Embedding) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The highest cosine of each probe with any row, and which row it is; both (n_probes,)."""
    scores, found = torch.max(torch.from_numpy(probes) @ torch.from_numpy(rows).T, dim=1)
    return scores.numpy(), found.numpy()


def _parts(rows: Embedding, proceed: Callable[[], None]) -> Iterator[Embedding]:
    """Small enough that a product with 2,000 others takes some megabytes."""
    for start in range(0, len(rows), 4096):
        proceed()
        yield rows[start : start + 4096]
