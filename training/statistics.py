"""Every error rate of some trials at once, with what it becomes in each bootstrap draw of speakers.

`metrics.py` has the plain definitions, and a test holds this file to them. Here all draws are computed together: scores are
sorted once; neighbours that no threshold needs to part (one run of targets, or of non-targets) become one rung, which
changes neither the ROC's corners nor what pool-adjacent-violators pools; and whatever is a mean over trials is one matrix
product for all draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from training.bootstrap import N_DRAWS, draw_speakers, interval_of
from training.metrics import Labels, Scores, bayes_threshold
from training.trials import Trials

Draws = NDArray[np.float64]
PRIORS = (0.01, 0.05)
"""P(target) of the detection costs."""
MAX_WEIGHTS = 4_000_000


@dataclass(frozen=True, eq=False)
class Statistic:
    """A rate or a cost: over all trials, and in each draw of speakers, shape (n_draws,)."""

    value: float
    draws: Draws

    @property
    def interval(self) -> tuple[float, float]:
        return interval_of(self.draws)

    def __sub__(self, other: Statistic) -> Statistic:
        """The difference on the same trials, draw by draw: its interval is narrower than those of the two suggest."""
        return Statistic(self.value - other.value, self.draws - other.draws)


@dataclass(frozen=True, eq=False)
class Statistics:
    eer: Statistic
    min_cllr_bits: Statistic
    min_dcf: Mapping[float, Statistic]
    """By P(target); likewise `act_dcf`."""
    act_dcf: Mapping[float, Statistic]
    """Empty where the scores are no LLRs."""
    cllr_bits: Statistic | None
    fmr: Mapping[str, Statistic]
    """By the name of the threshold."""
    fnmr: Mapping[str, Statistic]


@dataclass(frozen=True, eq=False)
class Rungs:
    """Weights of target and of non-target trials on each rung, from the lowest scores up: (n_draws, n_rungs) each."""

    target: Draws
    non_target: Draws


def measure(
    trials: Trials,
    scores: Scores,
    *,
    are_llrs: bool,
    thresholds: Mapping[str, float] | None = None,
    priors: Sequence[float] = PRIORS,
    n_draws: int = N_DRAWS,
    max_weights: int = MAX_WEIGHTS,
) -> Statistics:
    """`thresholds` are LLRs by name, and only for LLRs. A draw without a target or a non-target trial is left out.
    `max_weights` trial weights are in memory at once.

    Raises ValueError where there are not both kinds of trial, or where a score is not finite.
    """
    labels = trials.labels
    if not labels.any() or labels.all():
        raise ValueError("error rates need at least one target and one non-target trial")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    if thresholds and not are_llrs:
        raise ValueError("a threshold is an LLR; these scores are none")
    at = {**{f"bayes {p}": bayes_threshold(p) for p in priors}, **(thresholds or {})} if are_llrs else {}
    rungs, means = _all_draws(trials, scores, tuple(at.values()), are_llrs, n_draws, max_weights)
    columns = {
        name: Statistic(float(column[0]), column[1:]) for name, column in _curve_statistics(rungs, priors).items()
    }
    fmr = {name: Statistic(float(means.fmr[0, i]), means.fmr[1:, i]) for i, name in enumerate(at)}
    fnmr = {name: Statistic(float(means.fnmr[0, i]), means.fnmr[1:, i]) for i, name in enumerate(at)}
    return Statistics(
        eer=columns["eer"],
        min_cllr_bits=columns["min_cllr_bits"],
        min_dcf={p: columns[f"min_dcf {p}"] for p in priors},
        act_dcf={p: _cost(fmr[f"bayes {p}"], fnmr[f"bayes {p}"], p) for p in priors if are_llrs},
        cllr_bits=Statistic(float(means.cllr_bits[0]), means.cllr_bits[1:]) if are_llrs else None,
        fmr={name: fmr[name] for name in thresholds or {}},
        fnmr={name: fnmr[name] for name in thresholds or {}},
    )


@dataclass(frozen=True, eq=False)
class _Means:
    """What is a mean over trials, in each draw: rates (n_draws, n_thresholds), Cllr (n_draws,)."""

    fmr: Draws
    fnmr: Draws
    cllr_bits: Draws


def _all_draws(
    trials: Trials, scores: Scores, thresholds: tuple[float, ...], are_llrs: bool, n_draws: int, max_weights: int
) -> tuple[Rungs, _Means]:
    """Row 0 is all trials once; the draws follow."""
    drawn = draw_speakers(trials, n_draws)
    counts = np.concatenate([np.ones((1, drawn.shape[1])), drawn])
    order = np.argsort(scores, kind="stable")
    starts, rung_of = _rungs(scores[order], trials.labels[order])
    sides = [_Side(trials, order, rung_of, scores, thresholds, is_target, are_llrs) for is_target in (True, False)]
    n_at_once = max(1, max_weights // len(scores))
    parts = [
        [side.of(part, len(starts)) for side in sides]
        for part in np.split(counts, range(n_at_once, len(counts), n_at_once))
    ]
    (target, of_target), (non_target, of_non_target) = (
        tuple(np.concatenate([part[i][j] for part in parts]) for j in range(2)) for i in range(2)
    )
    n_target, n_non_target = target.sum(axis=1), non_target.sum(axis=1)
    usable = (n_target > 0) & (n_non_target > 0)
    of_target, of_non_target = (
        of_target[usable] / n_target[usable, None],
        of_non_target[usable] / n_non_target[usable, None],
    )
    n = len(thresholds)
    cllr = (of_target[:, n] + of_non_target[:, n]) / 2.0 if are_llrs else np.full(usable.sum(), np.nan)
    return (
        Rungs(target[usable], non_target[usable]),
        _Means(fmr=of_non_target[:, :n], fnmr=of_target[:, :n], cllr_bits=cllr),
    )


class _Side:
    """The target or the non-target trials, ready to be weighted by any draw."""

    def __init__(
        self,
        trials: Trials,
        order: NDArray[np.int64],
        rung_of: NDArray[np.int64],
        scores: Scores,
        thresholds: tuple[float, ...],
        is_target: bool,
        are_llrs: bool,
    ) -> None:
        chosen = trials.labels[order] == is_target
        trial = order[chosen]
        self.a = trials.speakers[trials.a[trial]]
        self.b = None if is_target else trials.speakers[trials.b[trial]]
        self.rungs, self.starts = np.unique(rung_of[chosen], return_index=True)
        own = scores[trial]
        columns = [own < at if is_target else own >= at for at in thresholds]
        if are_llrs:
            columns.append(np.logaddexp(0.0, -own if is_target else own) / np.log(2.0))
        self.columns = np.stack(columns, axis=1).astype(np.float64) if columns else np.zeros((len(trial), 0))

    def of(self, counts: Draws, n_rungs: int) -> tuple[Draws, Draws]:
        """Weights by rung (n_draws, n_rungs), and the weighted sum of every column."""
        weights = counts[:, self.a] if self.b is None else counts[:, self.a] * counts[:, self.b]
        by_rung = np.zeros((len(counts), n_rungs))
        by_rung[:, self.rungs] = np.add.reduceat(weights, self.starts, axis=1)
        return by_rung, weights @ self.columns


def _rungs(scores: Scores, labels: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(first trial of each rung, rung of each trial) of sorted scores. Equal scores are never parted."""
    firsts = np.flatnonzero(np.diff(scores, prepend=-np.inf) > 0)
    n_target = np.add.reduceat(labels.astype(np.int64), firsts)
    n_trials = np.diff(firsts, append=len(scores))
    kind = np.where(n_target == 0, 0, np.where(n_target == n_trials, 1, 2))  # non-targets, targets, both
    goes_on = (kind[1:] == kind[:-1]) & (kind[1:] != 2)
    starts = firsts[np.concatenate([[True], ~goes_on])]
    is_start = np.zeros(len(scores), dtype=np.int64)
    is_start[starts] = 1
    return starts, np.cumsum(is_start) - 1


def _curve_statistics(rungs: Rungs, priors: Sequence[float]) -> dict[str, Draws]:
    """Name -> (n_draws,)."""
    nothing = np.zeros((len(rungs.target), 1))
    fnmr = np.concatenate([nothing, np.cumsum(rungs.target, axis=1)], axis=1)
    fmr = np.concatenate([nothing, np.cumsum(rungs.non_target, axis=1)], axis=1)
    fnmr, fmr = fnmr / fnmr[:, -1:], 1.0 - fmr / fmr[:, -1:]
    found = {"eer": _eer(fmr, fnmr)}
    for p in priors:
        found[f"min_dcf {p}"] = (p * fnmr + (1.0 - p) * fmr).min(axis=1) / min(p, 1.0 - p)
    found["min_cllr_bits"] = np.array(
        [_min_cllr_bits(target, non_target) for target, non_target in zip(rungs.target, rungs.non_target, strict=True)]
    )
    return found


def _eer(fmr: Draws, fnmr: Draws) -> Draws:
    """(n_draws, n_thresholds) each, from the loosest threshold to the strictest -> (n_draws,)."""
    difference = fmr - fnmr
    row = np.arange(len(fmr))
    right = np.argmax(difference <= 0, axis=1)  # never 0: accepting all, the difference is 1
    left = right - 1
    share = difference[row, left] / (difference[row, left] - difference[row, right])
    eer: Draws = fmr[row, left] + share * (fmr[row, right] - fmr[row, left])
    return eer


def _min_cllr_bits(target: Draws, non_target: Draws) -> float:
    """(n_rungs,) weights each -> Cllr after pooling adjacent violators."""
    weights = target + non_target
    there = weights > 0
    target, non_target, weights = target[there], non_target[there], weights[there]
    posterior = isotonic_regression(target / weights, weights=weights).x
    n_target, n_non_target = target.sum(), non_target.sum()
    with np.errstate(divide="ignore"):  # a pure block has an infinite LLR, rightly so
        llrs = np.log(posterior) - np.log1p(-posterior) - np.log(n_target / n_non_target)
    is_target, is_non_target = target > 0, non_target > 0
    cost = (target[is_target] * np.logaddexp(0.0, -llrs[is_target])).sum() / n_target
    cost += (non_target[is_non_target] * np.logaddexp(0.0, llrs[is_non_target])).sum() / n_non_target
    return float(cost / (2.0 * np.log(2.0)))


def _cost(fmr: Statistic, fnmr: Statistic, p_target: float) -> Statistic:
    """Normalised detection cost with both costs 1."""
    scale = min(p_target, 1.0 - p_target)

    def cost(miss: Draws, false_alarm: Draws) -> Draws:
        return (p_target * miss + (1.0 - p_target) * false_alarm) / scale

    return Statistic(float(cost(np.array(fnmr.value), np.array(fmr.value))), cost(fnmr.draws, fmr.draws))
