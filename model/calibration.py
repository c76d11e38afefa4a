"""Score -> log-likelihood ratio -> probability at a prior.

The map is a line with a positive slope, fitted by logistic regression (Brümmer & Doddington, 2013); `training/`
fits it, the service only applies it. An LLR is a natural logarithm; 0 favours neither hypothesis.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray


def logit(probability: float) -> float:
    """Natural log-odds of a probability in (0, 1)."""
    if not 0.0 < probability < 1.0:
        raise ValueError(f"a probability with finite log-odds lies in (0, 1); got {probability}")
    return math.log(probability) - math.log1p(-probability)


def sigmoid(log_odds: float) -> float:
    """Inverse of `logit`, without overflow at either end."""
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    return math.exp(log_odds) / (1.0 + math.exp(log_odds))


def probability(llr: float, prior: float) -> float:
    """Posterior probability of one speaker, given the prior probability `prior` in (0, 1)."""
    return sigmoid(llr + logit(prior))


@dataclass(frozen=True)
class Calibration:
    """llr = slope * score + intercept. `fit_prior` is the prior whose logit was taken out of the fitted intercept."""

    slope: float
    intercept: float
    fit_prior: float
    calibration_id: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and self.slope > 0 and math.isfinite(self.intercept)):
            raise ValueError(f"a calibration needs a positive finite slope; got {self.slope} and {self.intercept}")

    @overload
    def llr(self, score: float) -> float: ...

    @overload
    def llr(self, score: NDArray[np.float64]) -> NDArray[np.float64]: ...

    def llr(self, score: float | NDArray[np.float64]) -> float | NDArray[np.float64]:
        """Natural log-likelihood ratio of a cosine score, or of each score of an array."""
        return self.slope * score + self.intercept

    def score_at(self, llr: float) -> float | None:
        """The cosine score at which a trial would have this LLR; None where no cosine reaches it."""
        score = (llr - self.intercept) / self.slope
        return score if -1.0 <= score <= 1.0 else None
