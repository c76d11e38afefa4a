"""The error rates of a bundle's LLRs from the loosest threshold to the strictest, for whoever chooses one.

A detection error trade-off (Martin et al. 1997), thinned to what a picture needs. It decides nothing: operating points do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from model.decision import OperatingPoint

MAX_POINTS = 200
"""More show nobody more, and every answer of `GET /v1/model` carries them."""

Intervals = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class DetCurve:
    """Rates at each of `llrs`, where an LLR at or above it is accepted. It begins where all are accepted and ends where none is.

    Raises ValueError where it is no such curve.
    """

    llrs: tuple[float, ...]
    """Thresholds, (n,), rising."""
    fmr: tuple[float, ...]
    """(n,), never rising."""
    fnmr: tuple[float, ...]
    """(n,), never falling."""
    fmr_intervals: Intervals
    """95 % bootstrap intervals over speakers; likewise for fnmr."""
    fnmr_intervals: Intervals
    n_target: int
    n_non_target: int
    measured_on: str

    def __post_init__(self) -> None:
        columns = (self.llrs, self.fmr, self.fnmr, self.fmr_intervals, self.fnmr_intervals)
        lengths = sorted({len(column) for column in columns})
        if len(lengths) > 1 or not 2 <= lengths[0] <= MAX_POINTS:
            raise ValueError(f"an error curve has 2 to {MAX_POINTS} points in each column; got columns of {lengths}")
        ends = [end for interval in (*self.fmr_intervals, *self.fnmr_intervals) for end in interval]
        if not all(math.isfinite(llr) for llr in self.llrs):
            raise ValueError("a threshold of the error curve is not finite")
        if not all(0.0 <= rate <= 1.0 for rate in (*self.fmr, *self.fnmr, *ends)):
            raise ValueError("a rate of the error curve is not within 0 and 1")
        if any(low > high for low, high in (*self.fmr_intervals, *self.fnmr_intervals)):
            raise ValueError("an interval of the error curve ends before it begins")
        if not all(low < high for low, high in pairwise(self.llrs)):
            raise ValueError("the thresholds of the error curve do not rise")
        if any(high > low for low, high in pairwise(self.fmr)) or any(low > high for low, high in pairwise(self.fnmr)):
            raise ValueError("the error curve turns back: as the threshold rises, fmr may only fall and fnmr only rise")
        if (self.fmr[0], self.fnmr[0], self.fmr[-1], self.fnmr[-1]) != (1.0, 0.0, 0.0, 1.0):
            raise ValueError("the error curve does not go from accepting all to accepting none")
        if min(self.n_target, self.n_non_target) < 1:
            raise ValueError(
                f"an error curve is measured on trials of both kinds; got {self.n_target} target and "
                f"{self.n_non_target} non-target"
            )

    def holds(self, point: OperatingPoint) -> bool:
        """Whether the operating point is one of the curve's, with its very rates."""
        return (point.llr, point.fmr, point.fnmr) in zip(self.llrs, self.fmr, self.fnmr, strict=True)


def det_curve_from(table: Mapping[str, Any]) -> DetCurve:
    """A DetCurve from its JSON. Raises KeyError, TypeError or ValueError for anything else."""
    columns = {name: tuple(float(value) for value in table[name]) for name in ("llrs", "fmr", "fnmr")}
    intervals = {
        name: tuple((float(low), float(high)) for low, high in table[name])
        for name in ("fmr_intervals", "fnmr_intervals")
    }
    return DetCurve(**{**table, **columns, **intervals})
