"""Cosine + both sides of a trial -> LLR: the one way from a score to what it is worth, in the service and in the lab.

    cosine -AS-norm, where the bundle has a cohort-> score -calibration with side information-> LLR

For a given pair both steps are lines that rise, so a threshold on the LLR is a threshold on the cosine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from model.calibration import NOMINAL, Calibration, Floats, SideInformation
from model.scoring import Cohort, Embedding


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a trial, or many as arrays: what is known of it, and where it stands to the cohort."""

    information: SideInformation
    cohort_mean: float | Floats | None
    """Mean and spread of the cohort's highest cosines with it; None where there is no cohort."""
    cohort_spread: float | Floats | None

    def __getitem__(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Side:
        """The sides with these numbers, where there are many."""
        if self.cohort_mean is None or self.cohort_spread is None:
            return Side(self.information[index], None, None)
        return Side(self.information[index], np.asarray(self.cohort_mean)[index], np.asarray(self.cohort_spread)[index])


@dataclass(frozen=True)
class LikelihoodModel:
    """Everything between a cosine and its LLR."""

    calibration: Calibration
    cohort: Cohort | None = None
    """Whom scores are normalised with; None where evidence spoke against it."""

    def side(self, embedding: Embedding, information: SideInformation) -> Side:
        """Of a unit embedding (n_embedding,), or of many (n, n_embedding) with information of n sides."""
        return place(embedding, information, self.cohort)

    @overload
    def llr(self, cosine: float, a: Side, b: Side) -> float: ...

    @overload
    def llr(self, cosine: Floats, a: Side, b: Side) -> Floats: ...

    def llr(self, cosine: float | Floats, a: Side, b: Side) -> float | Floats:
        """Natural log-likelihood ratio of a trial, or of each of many. The sides may change places."""
        llr = self.calibration.llr(normalised(cosine, a, b), a.information, b.information)
        return llr if isinstance(cosine, np.ndarray) else float(llr)

    def cosine_at(self, llr: float, a: Side, b: Side) -> float | None:
        """The cosine at which this very trial would have this LLR; None where no cosine reaches it."""
        slope, offset = as_norm_line(a, b)
        cosine = float((self.calibration.score_at(llr, a.information, b.information) - offset) / slope)
        return cosine if -1.0 <= cosine <= 1.0 else None

    def nominal_cosine_at(self, llr: float) -> float | None:
        """The same for two NOMINAL sides; None, too, where a cohort makes it a matter of the two voices."""
        if self.cohort is not None:
            return None
        side = Side(NOMINAL, None, None)
        return self.cosine_at(llr, side, side)


def place(embedding: Embedding, information: SideInformation, cohort: Cohort | None) -> Side:
    """A side, with where it stands to a cohort; (n_embedding,) or (n, n_embedding) with information of n sides."""
    if cohort is None:
        return Side(information, None, None)
    return Side(information, *cohort.statistics(embedding))


def normalised(cosine: float | Floats, a: Side, b: Side) -> Floats:
    """The score that is calibrated: the cosine, measured against the cohort where there is one."""
    slope, offset = as_norm_line(a, b)
    return np.asarray(slope * cosine + offset)


def as_norm_line(a: Side, b: Side) -> tuple[Floats, Floats]:
    """(slope, offset) of the normalised score over the cosine; of the cosine itself where there is no cohort."""
    if a.cohort_mean is None or a.cohort_spread is None or b.cohort_mean is None or b.cohort_spread is None:
        return np.asarray(1.0), np.asarray(0.0)
    slope = (1.0 / np.asarray(a.cohort_spread) + 1.0 / np.asarray(b.cohort_spread)) / 2.0
    offset = -(np.asarray(a.cohort_mean) / a.cohort_spread + np.asarray(b.cohort_mean) / b.cohort_spread) / 2.0
    return slope, offset
