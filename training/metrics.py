"""What trial scores are worth. Scores: higher means more alike; labels: True for target trials.

Rates are fractions. Every function takes optional non-negative trial weights, which the bootstrap uses.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_curve

from model.calibration import logit

Scores = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ErrorCurve:
    """Error rates at every threshold, from the loosest to the strictest: accept where score >= threshold."""

    thresholds: Scores
    fmr: Scores
    fnmr: Scores


def error_curve(scores: Scores, labels: Labels, weights: Scores | None = None) -> ErrorCurve:
    """Raises ValueError unless there are target and non-target trials and every score is finite."""
    if not labels.any() or labels.all():
        raise ValueError("error rates need at least one target and one non-target trial")
    if not np.isfinite(scores).all():
        raise ValueError("a score is not finite")
    fmr, tmr, thresholds = roc_curve(labels, scores, sample_weight=weights, drop_intermediate=False)
    return ErrorCurve(thresholds[::-1], fmr[::-1], 1.0 - tmr[::-1])


def eer(curve: ErrorCurve) -> tuple[float, float]:
    """(equal error rate, its threshold), by linear interpolation between the two thresholds that it lies between."""
    difference = curve.fmr - curve.fnmr  # falls from 1 to -1
    right = int(np.argmax(difference <= 0))
    if right == 0 or difference[right] == 0:
        return float((curve.fmr[right] + curve.fnmr[right]) / 2), float(curve.thresholds[right])
    left = right - 1
    share = difference[left] / (difference[left] - difference[right])
    rate = curve.fmr[left] + share * (curve.fmr[right] - curve.fmr[left])
    low, high = curve.thresholds[left], curve.thresholds[right]
    threshold = low + share * (high - low) if np.isfinite(high) else low
    return float(rate), float(threshold)


def min_dcf(curve: ErrorCurve, p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """Smallest normalised detection cost at the prior and costs given (NIST SRE)."""
    cost = c_miss * p_target * curve.fnmr + c_fa * (1.0 - p_target) * curve.fmr
    return float(cost.min() / min(c_miss * p_target, c_fa * (1.0 - p_target)))


def bayes_threshold(p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """The LLR from which accepting is the cheaper choice, if the LLR can be believed."""
    return float(np.log(c_fa / c_miss)) - logit(p_target)


def act_dcf(
    llrs: Scores,
    labels: Labels,
    p_target: float,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
    weights: Scores | None = None,
) -> float:
    """Normalised detection cost of taking the LLRs at their word: accepting from the Bayes threshold up.

    1 is what always giving the same answer costs; a bad calibration can cost more.
    """
    fmr, fnmr = rates_at(llrs, labels, bayes_threshold(p_target, c_miss, c_fa), weights)
    cost = c_miss * p_target * fnmr + c_fa * (1.0 - p_target) * fmr
    return cost / min(c_miss * p_target, c_fa * (1.0 - p_target))


def balanced_accuracy(scores: Scores, labels: Labels, threshold: float) -> float:
    """Mean share of target and of non-target trials on the right side of a threshold, as on balanced pairs."""
    fmr, fnmr = rates_at(scores, labels, threshold)
    return 1.0 - (fmr + fnmr) / 2.0


def best_accuracy_threshold(scores: Scores, labels: Labels) -> float:
    """The threshold of highest balanced accuracy (target and non-target trials weigh alike)."""
    curve = error_curve(scores, labels)
    best = int(np.argmin(curve.fmr + curve.fnmr))
    threshold = curve.thresholds[best]
    return float(threshold) if np.isfinite(threshold) else float(scores.max())


def rates_at(scores: Scores, labels: Labels, threshold: float, weights: Scores | None = None) -> tuple[float, float]:
    """(fmr, fnmr) when scores at or above the threshold are accepted."""
    weights = np.ones(len(scores)) if weights is None else weights
    accepted = scores >= threshold
    fmr = weights[accepted & ~labels].sum() / weights[~labels].sum()
    fnmr = weights[~accepted & labels].sum() / weights[labels].sum()
    return float(fmr), float(fnmr)


def cllr_bits(llrs: Scores, labels: Labels, weights: Scores | None = None) -> float:
    """Cost of natural-log LLRs in bits: 0 is perfect, 1 is a system that always says LLR 0 (Brümmer & du Preez, 2006)."""
    weights = np.ones(len(llrs)) if weights is None else weights
    target = np.average(np.logaddexp(0.0, -llrs[labels]), weights=weights[labels])
    non_target = np.average(np.logaddexp(0.0, llrs[~labels]), weights=weights[~labels])
    return float((target + non_target) / (2.0 * np.log(2.0)))


def min_cllr_bits(scores: Scores, labels: Labels, weights: Scores | None = None) -> float:
    """Cllr after the best monotone map from score to LLR (pool adjacent violators): what calibration cannot mend."""
    weights = np.ones(len(scores)) if weights is None else weights
    there = weights > 0
    scores, labels, weights = scores[there], labels[there], weights[there]
    order = np.argsort(scores, kind="stable")
    fitted = IsotonicRegression(y_min=0.0, y_max=1.0)
    fitted.fit(scores[order], labels[order].astype(float), sample_weight=weights[order])
    posterior = fitted.predict(scores)
    prior = np.average(labels, weights=weights)
    with np.errstate(divide="ignore"):  # a pure bin has an infinite LLR, rightly so
        llrs = np.log(posterior) - np.log1p(-posterior) - (np.log(prior) - np.log1p(-prior))
    return cllr_bits(llrs, labels, weights)
