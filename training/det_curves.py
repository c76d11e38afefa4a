"""LLRs of trials + the operating points found on them -> the error curve that a bundle ships."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from model.decision import OperatingPoint
from model.det_curve import DetCurve, Intervals
from training.bootstrap import interval_of, speaker_weights, usable_draws
from training.metrics import Labels, Scores, error_curve
from training.trials import Trials

N_THRESHOLDS = 160
"""Before the operating points join them: the rates of neighbours differ by about a tenth of themselves."""


def det_curve(trials: Trials, llrs: Scores, points: Iterable[OperatingPoint], measured_on: str) -> DetCurve:
    """The curve of these trials with its ends and every operating point; between them it is thinned evenly on probit axes.

    Raises ValueError where there are not both kinds of trial, or where an LLR is not finite.
    """
    thresholds = np.union1d(_even_thresholds(llrs, trials.labels), [point.llr for point in points])
    order = np.argsort(llrs, kind="stable")
    labels = trials.labels[order]
    n_below = np.searchsorted(llrs[order], thresholds)
    fmr, fnmr = _rates(np.ones(len(llrs)), labels, n_below)
    drawn = np.array(
        [_rates(speaker_weights(trials, counts)[order], labels, n_below) for counts in usable_draws(trials)]
    )
    return DetCurve(
        llrs=tuple(thresholds.tolist()),
        fmr=tuple(fmr.tolist()),
        fnmr=tuple(fnmr.tolist()),
        fmr_intervals=_intervals(drawn[:, 0]),
        fnmr_intervals=_intervals(drawn[:, 1]),
        n_target=int(trials.labels.sum()),
        n_non_target=int((~trials.labels).sum()),
        measured_on=measured_on,
    )


def _even_thresholds(llrs: Scores, labels: Labels) -> Scores:
    """Thresholds, rising, in equal steps along the curve on probit axes; the first accepts all, the last none."""
    curve = error_curve(llrs, labels)
    # One of the two falls and the other rises, so their difference is the way along the curve.
    way = _probit(curve.fnmr, labels.sum()) - _probit(curve.fmr, (~labels).sum())
    chosen = np.searchsorted(way, np.linspace(way[0], way[-1], N_THRESHOLDS))
    finite = np.append(curve.thresholds[:-1], np.nextafter(llrs.max(), np.inf))
    thresholds: Scores = np.unique(finite[chosen])
    return thresholds


def _probit(rates: Scores, n_trials: int) -> Scores:
    """Normal deviates. 0 and 1 have none: they count as half a trial from there."""
    deviates: Scores = norm.ppf(np.clip(rates, 0.5 / n_trials, 1.0 - 0.5 / n_trials))
    return deviates


def _rates(weights: Scores, labels: Labels, n_below: NDArray[np.int64]) -> tuple[Scores, Scores]:
    """(fmr, fnmr) at each threshold, of trials in the order of their LLRs, `n_below` of which lie below it."""
    target = np.concatenate([[0.0], np.cumsum(np.where(labels, weights, 0.0))])
    non_target = np.concatenate([[0.0], np.cumsum(np.where(labels, 0.0, weights))])
    return (non_target[-1] - non_target[n_below]) / non_target[-1], target[n_below] / target[-1]


def _intervals(drawn: NDArray[np.float64]) -> Intervals:
    """Of rates in each draw, shape (n_draws, n_thresholds)."""
    return tuple(interval_of(column) for column in drawn.T)
