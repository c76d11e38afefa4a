"""Intervals over speakers: trials that share a speaker are not independent, so speakers are drawn, not trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from training.trials import Trials

N_DRAWS = 200
SEED = 1
LEVEL = 0.95


def draw_speakers(trials: Trials, n_draws: int = N_DRAWS) -> NDArray[np.float64]:
    """(n_draws, largest speaker number + 1): how often each speaker is in each draw, always the same draws."""
    rng = np.random.default_rng(SEED)
    numbers = np.unique(trials.speakers)
    counts = np.zeros((n_draws, int(numbers[-1]) + 1))
    for row in counts:
        np.add.at(row, rng.choice(numbers, len(numbers)), 1.0)
    return counts


def speaker_weights(trials: Trials, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Trial weights from how often each speaker was drawn: a target trial its speaker's count, else the product."""
    a, b = counts[trials.speakers[trials.a]], counts[trials.speakers[trials.b]]
    weights: NDArray[np.float64] = np.where(trials.labels, a, a * b)
    return weights


def usable_draws(trials: Trials, n_draws: int = N_DRAWS) -> Iterator[NDArray[np.float64]]:
    """The draws that have both target and non-target trials. Raises ValueError, at the end, where none has."""
    is_any = False
    for counts in draw_speakers(trials, n_draws):
        weights = speaker_weights(trials, counts)
        if weights[trials.labels].any() and weights[~trials.labels].any():
            is_any = True
            yield counts
    if not is_any:
        raise ValueError("no draw of speakers had both target and non-target trials")


def interval_of(values: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile interval of what a statistic was in each draw, shape (n_draws,)."""
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def bootstrap_interval(
    trials: Trials, statistic: Callable[[NDArray[np.float64]], float], n_draws: int = N_DRAWS
) -> tuple[float, float]:
    """95 % percentile interval of a statistic of the speakers' counts, shape (largest speaker number + 1,).

    A draw without a target or without a non-target trial is skipped. `training.statistics` does the same for many
    statistics at once, and faster.
    """
    return interval_of(np.array([statistic(counts) for counts in usable_draws(trials, n_draws)]))
