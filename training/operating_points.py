"""LLRs of trials -> thresholds by target false-match rate, with the rates that they had; none that the data cannot support."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.decision import OperatingPoint
from training.bootstrap import bootstrap_interval, speaker_weights
from training.metrics import Scores, eer, error_curve, rates_at
from training.trials import Trials

TARGET_FMRS = {"fmr_1e-2": 1e-2, "fmr_1e-3": 1e-3}
MIN_ERRORS = 30
"""Doddington's rule of 30: with fewer errors, a rate is not known within ±30 % even for independent trials."""
MAX_INTERVAL_FACTOR = 3.0
"""A point is written only if its FMR interval over speakers stays within this factor above the target."""


def operating_points(
    trials: Trials, llrs: Scores, measured_on: str
) -> tuple[dict[str, OperatingPoint], dict[str, str]]:
    """(points by name, why others are not written): `eer`, and one for each target rate that the trials support."""
    points = {"eer": _measure("eer", eer(error_curve(llrs, trials.labels))[1], llrs, trials, measured_on)}
    unsupported = {}
    n_non_target = int((~trials.labels).sum())
    for name, fmr in TARGET_FMRS.items():
        if fmr * n_non_target < MIN_ERRORS:
            unsupported[name] = (
                f"{n_non_target} non-target trials; {MIN_ERRORS / fmr:.0f} give {MIN_ERRORS} false matches"
            )
            continue
        threshold = float(np.quantile(llrs[~trials.labels], 1.0 - fmr, method="higher"))
        point = _measure(name, np.nextafter(threshold, np.inf), llrs, trials, measured_on)
        if point.fmr_interval[1] > MAX_INTERVAL_FACTOR * fmr:
            unsupported[name] = (
                f"with {trials.n_speakers} speakers the rate may be as high as {point.fmr_interval[1]:.2g} (95 %), "
                f"more than {MAX_INTERVAL_FACTOR:g} times the target"
            )
            continue
        points[name] = point
    return points, unsupported


def _measure(name: str, threshold: float, llrs: Scores, trials: Trials, measured_on: str) -> OperatingPoint:
    fmr, fnmr = rates_at(llrs, trials.labels, threshold)

    def rate(index: int) -> tuple[float, float]:
        def statistic(counts: NDArray[np.float64]) -> float:
            return rates_at(llrs, trials.labels, threshold, speaker_weights(trials, counts))[index]

        return bootstrap_interval(trials, statistic)

    return OperatingPoint(
        name=name,
        llr=float(threshold),
        fmr=fmr,
        fnmr=fnmr,
        fmr_interval=rate(0),
        fnmr_interval=rate(1),
        n_target=int(trials.labels.sum()),
        n_non_target=int((~trials.labels).sum()),
        measured_on=measured_on,
    )
