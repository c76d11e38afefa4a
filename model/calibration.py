"""Score + what is known of both sides -> log-likelihood ratio -> probability at a prior.

For given sides the map is a line with a positive slope, so that it can be turned round; slope and intercept depend on how
much evidence there is: net speech, number of clips, noise. It is a logistic regression (Brümmer & Doddington, 2013)
with side information (Mandasari et al., 2013); `training/` fits it, the service only applies it. An LLR is a natural
logarithm; 0 favours neither hypothesis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import overload

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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


@dataclass(frozen=True, eq=False)
class SideInformation:
    """What is known of one side of a trial beside its embedding: of one side, or of many as arrays of one shape."""

    speech_s: float | Floats
    """Net speech of all its clips together."""
    n_clips: float | Floats
    snr_db: float | Floats | None
    """Mean over the clips that have one; NaN or None where none has."""

    def __getitem__(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> SideInformation:
        """The sides with these numbers, where there are many."""
        snr_db = None if self.snr_db is None else np.asarray(self.snr_db)[index]
        return SideInformation(np.asarray(self.speech_s)[index], np.asarray(self.n_clips)[index], snr_db)


NOMINAL = SideInformation(speech_s=3.0, n_clips=1, snr_db=None)
"""One clip with three seconds of net speech and no noise worth measuring: where there is no trial to speak of."""


@dataclass(frozen=True)
class Ranges:
    """Where the calibration was fitted; what lies outside counts as the nearest value inside."""

    speech_s: tuple[float, float] = (0.5, 5.0)
    """Net speech a clip."""
    n_clips: tuple[float, float] = (1.0, 3.0)
    snr_db: tuple[float, float] = (0.0, 25.0)

    def __post_init__(self) -> None:
        for low, high in (self.speech_s, self.n_clips, self.snr_db):
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(f"a range rises from one finite number to another; got {low} to {high}")
        if self.speech_s[0] <= 0 or self.n_clips[0] <= 0:
            raise ValueError("speech and clips are counted by their logarithm, so their ranges begin above 0")


def speech(side: SideInformation, ranges: Ranges) -> Floats:
    """0 where the clips are short, 1 where they are long; by the logarithm of the net speech a clip."""
    per_clip_s = np.asarray(side.speech_s) / np.asarray(side.n_clips)
    return _share(np.log(np.maximum(per_clip_s, ranges.speech_s[0])), *np.log(ranges.speech_s))


def clips(side: SideInformation, ranges: Ranges) -> Floats:
    """0 for one clip, 1 for many, by the logarithm."""
    return _share(np.log(side.n_clips), *np.log(ranges.n_clips))


def clarity(side: SideInformation, ranges: Ranges) -> Floats:
    """0 in noise as loud as speech, 1 where there is little or it could not be measured."""
    if side.snr_db is None:
        return np.ones(np.shape(side.speech_s))
    return _share(np.nan_to_num(side.snr_db, nan=np.inf), *ranges.snr_db)


def _share(values: Floats, low: float, high: float) -> Floats:
    shares: Floats = np.clip((values - low) / (high - low), 0.0, 1.0)
    return shares


Of = Callable[[SideInformation, Ranges], Floats]


def either(of: Of) -> Callable[[SideInformation, SideInformation, Ranges], Floats]:
    """The mean of the two sides' shares."""
    return lambda a, b, ranges: (of(a, ranges) + of(b, ranges)) / 2.0


def both(of: Of) -> Callable[[SideInformation, SideInformation, Ranges], Floats]:
    """The product of the two sides' shares: high only where neither is poor."""
    return lambda a, b, ranges: of(a, ranges) * of(b, ranges)


FEATURES: Mapping[str, Callable[[SideInformation, SideInformation, Ranges], Floats]] = {
    "speech": either(speech),
    "speech_both": both(speech),
    "clips": either(clips),
    "clips_both": both(clips),
    "clarity": either(clarity),
    "clarity_both": both(clarity),
}
"""What is known of a trial, in [0, 1], more for better evidence; the two sides may change places."""


@dataclass(frozen=True)
class Term:
    """What one feature adds to slope and intercept where it is 1."""

    feature: str
    slope: float
    intercept: float


@dataclass(frozen=True)
class Calibration:
    """llr = slope * score + intercept, where each term adds its share to both.

    `fit_prior` is the prior whose logit was taken out of the fitted intercept. Raises ValueError unless the slope is
    positive whatever the features are: a higher score never speaks against one speaker.
    """

    slope: float
    intercept: float
    fit_prior: float
    terms: tuple[Term, ...] = ()
    ranges: Ranges = field(default_factory=Ranges)

    def __post_init__(self) -> None:
        numbers = [self.slope, self.intercept, *(x for term in self.terms for x in (term.slope, term.intercept))]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"a calibration is made of finite numbers; got {numbers}")
        unknown = [term.feature for term in self.terms if term.feature not in FEATURES]
        if unknown:
            raise ValueError(f"a calibration knows the features {', '.join(FEATURES)}; got {unknown[0]!r}")
        least = self.slope + sum(min(term.slope, 0.0) for term in self.terms)
        if least <= 0:
            raise ValueError(
                f"a calibration needs a positive slope wherever its features are; the least is {least:.4g}"
            )

    def line(self, a: SideInformation, b: SideInformation) -> tuple[Floats, Floats]:
        """(slope, intercept) for trials of these sides, of their shape."""
        slope, intercept = np.asarray(self.slope), np.asarray(self.intercept)
        for term in self.terms:
            feature = FEATURES[term.feature](a, b, self.ranges)
            slope, intercept = slope + term.slope * feature, intercept + term.intercept * feature
        return slope, intercept

    @overload
    def llr(self, score: float, a: SideInformation, b: SideInformation) -> float: ...

    @overload
    def llr(self, score: Floats, a: SideInformation, b: SideInformation) -> Floats: ...

    def llr(self, score: float | Floats, a: SideInformation, b: SideInformation) -> float | Floats:
        """Natural log-likelihood ratio of a trial's score, or of each of many."""
        slope, intercept = self.line(a, b)
        llr: Floats = slope * score + intercept
        return llr if isinstance(score, np.ndarray) else float(llr)

    def score_at(self, llr: float, a: SideInformation, b: SideInformation) -> float:
        """The score at which a trial of these two sides has this LLR."""
        slope, intercept = self.line(a, b)
        return float((llr - intercept) / slope)
