"""Whether log-likelihood ratios still lie where they lay: a new microphone, codec or population moves them, and an attack.

Nobody tells a service which trials were targets, so no error rate can be known. What can be is whether the ratios of
recent trials lie as those of earlier ones did. The measure is the population stability index of credit scoring (also
Jeffreys' divergence): the sum over bins of (q - p) ln(q / p). Where a normal distribution moves by d standard deviations it is
about d squared. By chance alone it is about (bins - 1) (1 / n_reference + 1 / n_recent): 0.02 here.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections import deque

import numpy as np
from numpy.typing import NDArray

LLR_BOUNDS = (-8.0, -4.0, -2.0, 0.0, 2.0, 4.0, 8.0)
"""Upper ends of all bins but the last. Coarser than what a key without exact scores sees of its own trials."""
N_REFERENCE = 1000
N_RECENT = 500


class ScoreDrift:
    """The first trials since the start are the reference; the last ones are held against them. Threads may call it."""

    def __init__(self, n_reference: int = N_REFERENCE, n_recent: int = N_RECENT) -> None:
        self._n_reference = n_reference
        self._reference = np.zeros(len(LLR_BOUNDS) + 1, dtype=np.int64)
        self._recent: deque[int] = deque(maxlen=n_recent)
        self._lock = threading.Lock()

    def add(self, llr: float) -> None:
        """One trial's natural-log likelihood ratio."""
        place = bisect_left(LLR_BOUNDS, llr)
        with self._lock:
            if self._reference.sum() < self._n_reference:
                self._reference[place] += 1
            else:
                self._recent.append(place)

    def index(self) -> float:
        """The stability index; NaN until there are enough trials of both kinds."""
        with self._lock:
            recent = list(self._recent)
            if len(recent) != self._recent.maxlen:
                return math.nan
            return stability_index(self._reference, np.bincount(recent, minlength=len(self._reference)))


def stability_index(reference: NDArray[np.int64], recent: NDArray[np.int64]) -> float:
    """Population stability index of two counts over the same bins, each of shape (n_bins,); at least 0.

    Half a trial is added to every bin, so that an empty one does not make it infinite.
    """
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (reference, recent))
    return float(np.sum((q - p) * np.log(q / p)))
