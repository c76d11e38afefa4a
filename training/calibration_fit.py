"""Trials with side information -> Calibration, by a logistic regression that cannot turn round.

The LLR is laid between two anchors, a low and a high score near the ends of what is seen:

    llr = share * (p_0 + p_1 f_1 + ...) - (1 - share) * (q_0 + q_1 f_1 + ...),   share = (score - low) / (high - low)

with features f in [0, 1] that grow with the evidence, p_0 and q_0 positive and no other p or q below zero. So the slope is
positive everywhere, and at both ends the LLR draws nearer to 0 as clips get shorter: what few speakers happen to show
cannot say otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import lsq_linear
from scipy.special import expit

from model.calibration import FEATURES, Calibration, Floats, Ranges, SideInformation, Term, logit
from model.errors import InvalidArgument
from training.metrics import Labels, Scores

ANCHOR_QUANTILE = 0.05
"""Anchors: the score under which so many non-target trials lie, and the one over which so many target trials do."""
RANGE_QUANTILE = 0.01
"""Side information counts from this quantile of what was fitted on to the opposite one."""
RIDGE = 1e-5
"""Pull of every coefficient towards 0, against the mean loss: it only decides between equals."""

MAX_STEPS = 100
SMALLEST_SHARE = 1e-6
"""Of a step: one that gains nothing even so is the last."""
TOLERANCE = 1e-13
"""Share of the loss that a step must gain for another to follow."""


@dataclass(frozen=True, eq=False)
class FitTrials:
    """What a calibration is fitted on; every array is (n_trials,)."""

    scores: Scores
    labels: Labels
    weights: Floats
    """Any scale; each class is brought to its share of the prior."""
    a: SideInformation
    b: SideInformation


LEAST_LLR = 0.05
"""At the anchors, of the poorest evidence: a score always says something."""


def fit_calibration(trials: FitTrials, features: Sequence[str], prior: float) -> Calibration:
    """The calibration with these features, target and non-target trials weighted to `prior` and its logit taken out.

    Raises InvalidArgument where higher scores do not mean more alike, or there are not both kinds of trials.
    """
    labels = trials.labels
    if not labels.any() or labels.all():
        raise InvalidArgument(
            f"calibration needs two speakers with two clips at least; got {int(labels.sum())} target and "
            f"{int((~labels).sum())} non-target trials"
        )
    weights = trials.weights * np.where(
        labels, prior / trials.weights[labels].sum(), (1.0 - prior) / trials.weights[~labels].sum()
    )
    low = float(np.quantile(trials.scores[~labels], ANCHOR_QUANTILE))
    high = float(np.quantile(trials.scores[labels], 1.0 - ANCHOR_QUANTILE))
    of_target = np.average(trials.scores[labels], weights=weights[labels])
    of_non_target = np.average(trials.scores[~labels], weights=weights[~labels])
    if not (of_target > of_non_target and high > low):
        raise InvalidArgument(
            f"target trials score {of_target:.3g} and non-target trials {of_non_target:.3g} on average: higher scores do not "
            "mean more alike here, so this encoder does not tell speakers apart"
        )
    ranges = ranges_of(trials.a, trials.b)
    evidence = np.column_stack(
        [np.ones(len(labels)), *(FEATURES[name](trials.a, trials.b, ranges) for name in features)]
    )
    share = ((trials.scores - low) / (high - low))[:, None]
    design = np.hstack([share * evidence, (share - 1.0) * evidence])
    coefficients = _fit(design, labels, weights, logit(prior))
    for_one, for_two = np.split(coefficients, 2)
    slopes = (for_one + for_two) / (high - low)
    intercepts = -for_two - low * slopes
    terms = (Term(*term) for term in zip(features, slopes[1:].tolist(), intercepts[1:].tolist(), strict=True))
    return Calibration(float(slopes[0]), float(intercepts[0]), prior, tuple(terms), ranges)


def ranges_of(a: SideInformation, b: SideInformation) -> Ranges:
    """What the sides of the trials cover, but for the outermost of them."""
    fixed = Ranges()
    n_clips = np.concatenate([np.ravel(a.n_clips), np.ravel(b.n_clips)]).astype(np.float64)
    speech_s = np.concatenate([np.ravel(a.speech_s), np.ravel(b.speech_s)]) / n_clips
    audible_s = speech_s[speech_s > 0] if (speech_s > 0).any() else np.array(fixed.speech_s)
    shortest_s, longest_s = np.quantile(audible_s, [RANGE_QUANTILE, 1.0 - RANGE_QUANTILE]).tolist()
    most = float(n_clips.max())
    return Ranges(
        speech_s=(shortest_s, longest_s) if shortest_s < longest_s else fixed.speech_s,
        n_clips=(1.0, most) if most > 1.0 else fixed.n_clips,
        snr_db=fixed.snr_db,
    )


def _fit(design: Floats, labels: Labels, weights: Floats, prior_logit: float) -> Floats:
    """Coefficients, the first of each half at least LEAST_LLR and none below zero, of least weighted logistic loss; `prior_logit` is what the prior alone would say."""
    scales = np.sqrt(np.average(design**2, axis=0, weights=weights))
    scales[scales == 0] = 1.0
    columns = design / scales
    floors = np.zeros(len(scales))
    floors[[0, len(scales) // 2]] = LEAST_LLR
    signs = np.where(labels, 1.0, -1.0)

    def loss(coefficients: Floats) -> float:
        margins = signs * (columns @ coefficients + prior_logit)
        return float(weights @ np.logaddexp(0.0, -margins) + RIDGE / 2.0 * coefficients @ coefficients)

    # Newton's method, each step the least of the quadratic within the bounds: a convex loss of a dozen coefficients and
    # up to a million trials takes ten steps so, where a quasi-Newton method takes hundreds.
    lower = floors * scales
    found = np.maximum(1.0, lower)
    value = loss(found)
    for _ in range(MAX_STEPS):
        probabilities = expit(columns @ found + prior_logit)
        gradient = columns.T @ (weights * (probabilities - labels)) + RIDGE * found
        curvature = (columns * (weights * probabilities * (1.0 - probabilities))[:, None]).T @ columns
        root = np.linalg.cholesky(curvature + RIDGE * np.eye(len(found))).T
        target = root @ found - np.linalg.solve(root.T, gradient)
        wanted = lsq_linear(root, target, bounds=(lower, np.inf), method="bvls", tol=1e-14).x
        share = 1.0
        while (reached := loss(found + share * (wanted - found))) > value and share > SMALLEST_SHARE:
            share /= 2.0
        if reached > value:
            break
        found, gained, value = found + share * (wanted - found), value - reached, reached
        if gained <= TOLERANCE * value:
            break
    coefficients: Floats = found / scales
    return coefficients
