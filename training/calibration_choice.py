"""What a calibration may depend on, chosen by how well it holds for speakers that it was not fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.calibration import Calibration, Floats, SideInformation
from model.errors import InvalidArgument
from training.calibration_fit import FitTrials, fit_calibration
from training.metrics import Labels, Scores, cllr_bits

FEATURE_SETS: tuple[tuple[str, ...], ...] = (
    (),
    ("speech", "speech_both"),
    ("speech", "speech_both", "clips"),
    ("speech", "speech_both", "clips", "clarity", "clarity_both"),
)
"""From the plain line up; each is worth its coefficients only if it holds on other speakers."""
TOLERANCE_BITS = 0.002
"""The simplest within this of the best is taken."""
N_FOLDS = 5
MIN_SPEAKERS = 4
"""With fewer, no fold has two speakers to hold out beside two to fit on: the plain line is taken."""
SEED = 1


@dataclass(frozen=True, eq=False)
class ScoredSet:
    """Trials of one kind with their scores; arrays are (n_trials,)."""

    name: str
    weight: float
    """How much of the fit this kind makes up."""
    is_clean: bool
    """Clips as they come or cut short, without noise or codec."""
    scores: Scores
    labels: Labels
    a: SideInformation
    b: SideInformation
    speakers_a: NDArray[np.int64]
    speakers_b: NDArray[np.int64]

    def among(self, chosen: NDArray[np.bool_]) -> ScoredSet:
        """The trials that are True, (n_trials,)."""
        return replace(
            self,
            scores=self.scores[chosen],
            labels=self.labels[chosen],
            a=self.a[chosen],
            b=self.b[chosen],
            speakers_a=self.speakers_a[chosen],
            speakers_b=self.speakers_b[chosen],
        )


@dataclass(frozen=True)
class Candidate:
    features: tuple[str, ...]
    cllr_bits: float | None
    """Mean over the kinds of trials, of speakers in folds that the fit did not hear; None where there are too few."""


def fit_sets(sets: Sequence[ScoredSet], features: Sequence[str], prior: float) -> Calibration:
    """One calibration for all; each kind counts by its weight, however many trials it has. Raises InvalidArgument."""
    sets = [each for each in sets if each.labels.any() and not each.labels.all()]
    if not sets:
        raise InvalidArgument("calibration needs two speakers with two clips at least")
    return fit_calibration(
        FitTrials(
            scores=np.concatenate([each.scores for each in sets]),
            labels=np.concatenate([each.labels for each in sets]),
            weights=np.concatenate([_weights(each) for each in sets]),
            a=_joined([each.a for each in sets]),
            b=_joined([each.b for each in sets]),
        ),
        features,
        prior,
    )


def _weights(each: ScoredSet) -> Floats:
    n_target = int(each.labels.sum())
    weights: Floats = each.weight / np.where(each.labels, n_target, len(each.labels) - n_target)
    return weights


def _joined(sides: Sequence[SideInformation]) -> SideInformation:
    return SideInformation(
        speech_s=np.concatenate([np.asarray(side.speech_s) for side in sides]),
        n_clips=np.concatenate([np.asarray(side.n_clips) for side in sides]),
        snr_db=np.concatenate([np.asarray(side.snr_db) for side in sides]),
    )


def held_out_llrs(sets: Sequence[ScoredSet], features: Sequence[str], prior: float) -> list[tuple[ScoredSet, Floats]]:
    """Each kind's trials between speakers of one fold, with their LLRs by the calibration of the other folds.

    Empty where there are fewer than MIN_SPEAKERS speakers, or a fit without one fold cannot be made.
    """
    speakers = np.unique(np.concatenate([each.speakers_a for each in sets]))
    n_folds = min(N_FOLDS, len(speakers) // 2)
    if len(speakers) < MIN_SPEAKERS:
        return []
    fold_of = np.zeros(int(speakers.max()) + 1, dtype=np.int64)
    fold_of[np.random.default_rng(SEED).permutation(speakers)] = np.arange(len(speakers)) % n_folds
    parts: list[list[tuple[ScoredSet, Floats]]] = [[] for _ in sets]
    for fold in range(n_folds):
        sides = [(fold_of[each.speakers_a] == fold, fold_of[each.speakers_b] == fold) for each in sets]
        try:
            fitted = fit_sets([each.among(~a & ~b) for each, (a, b) in zip(sets, sides, strict=True)], features, prior)
        except InvalidArgument:
            return []
        for part, each, (a, b) in zip(parts, sets, sides, strict=True):
            held = each.among(a & b)
            part.append((held, fitted.llr(held.scores, held.a, held.b)))
    return [_gathered(part) for part in parts]


def _gathered(parts: Sequence[tuple[ScoredSet, Floats]]) -> tuple[ScoredSet, Floats]:
    found = [held for held, _ in parts]
    whole = replace(
        found[0],
        scores=np.concatenate([held.scores for held in found]),
        labels=np.concatenate([held.labels for held in found]),
        a=_joined([held.a for held in found]),
        b=_joined([held.b for held in found]),
        speakers_a=np.concatenate([held.speakers_a for held in found]),
        speakers_b=np.concatenate([held.speakers_b for held in found]),
    )
    return whole, np.concatenate([llrs for _, llrs in parts])


def mean_cllr(held_out: Sequence[tuple[ScoredSet, Floats]]) -> float | None:
    """By the weights of the kinds of trials; None where nothing was held out."""
    rated = [
        (each.weight, cllr_bits(llrs, each.labels)) for each, llrs in held_out if 0 < each.labels.sum() < len(llrs)
    ]
    if not rated:
        return None
    weights, costs = zip(*rated, strict=True)
    return float(np.average(costs, weights=weights))


def rate_candidates(sets: Sequence[ScoredSet], prior: float) -> list[Candidate]:
    """Every feature set, with what it costs on speakers that it was not fitted on."""
    return [Candidate(features, mean_cllr(held_out_llrs(sets, features, prior))) for features in FEATURE_SETS]


def best_of(candidates: Sequence[Candidate]) -> Candidate:
    """The simplest that costs hardly more than the best; the first where none could be rated."""
    costs = [candidate.cllr_bits for candidate in candidates if candidate.cllr_bits is not None]
    if not costs:
        return candidates[0]
    limit = min(costs) + TOLERANCE_BITS
    return next(found for found in candidates if found.cllr_bits is not None and found.cllr_bits <= limit)
