"""What queueing theory leaves to a perfect server: Poisson arrivals, equal work, `n_servers` of them (M/D/c)."""

from __future__ import annotations

import heapq
import random

import numpy as np
from numpy.typing import NDArray

N_ARRIVALS = 200_000
N_WARM_UP = 2_000
"""Arrivals that find the queue emptier than it will be."""


def waits(n_servers: int, utilisation: float, n_arrivals: int = N_ARRIVALS, seed: int = 1) -> NDArray[np.float64]:
    """First come, first served: how long each arrival waits, in service times. Float64 of shape (n_arrivals,)."""
    if not 0 < utilisation < 1:
        raise ValueError(f"utilisation is {utilisation:g}; a queue settles only between 0 and 1")
    rng = random.Random(seed)
    free_at = [0.0] * n_servers
    found, now = [], 0.0
    for _ in range(N_WARM_UP + n_arrivals):
        now += rng.expovariate(n_servers * utilisation)
        begin = max(now, free_at[0])
        heapq.heapreplace(free_at, begin + 1.0)
        found.append(begin - now)
    return np.array(found[N_WARM_UP:])


def p99_over_unloaded(n_servers: int, utilisation: float) -> float:
    """The 99th percentile of the time in the system over the time of a request that is alone, which is one service."""
    return float(np.percentile(waits(n_servers, utilisation), 99)) + 1.0
