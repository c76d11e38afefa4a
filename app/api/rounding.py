"""Scores as a key without the scope `scores` sees them: too coarse to tell whether a changed clip came a little closer.

Whoever may try as often as he likes climbs a fine score step by step, each clip a little nearer than the one before. A
cosine in steps of 0.05 and a log-likelihood ratio in steps of 1 change only where a clip is plainly another. The decision
itself is made of the exact ratio, so a rounded one may stand on the other side of the threshold.
"""

from __future__ import annotations

from dataclasses import replace

from app.access import Caller
from app.records import Identification, Verification
from model.calibration import probability

SCORE_STEP = 0.05
LLR_STEP = 1.0


def verification(result: Verification, caller: Caller) -> Verification:
    if "scores" in caller.scopes:
        return result
    llr = _stepped(result.llr, LLR_STEP)
    return replace(
        result,
        score=_stepped(result.score, SCORE_STEP),
        llr=llr,
        # Of the rounded ratio, since the exact one could be told from it.
        probability=None if llr is None else probability(llr, result.prior),
        threshold_score=_stepped(result.threshold_score, SCORE_STEP),
    )


def identification(result: Identification, caller: Caller, prior: float) -> Identification:
    if "scores" in caller.scopes:
        return result
    candidates = []
    for one in result.candidates:
        llr = LLR_STEP * round(one.llr / LLR_STEP)
        score = SCORE_STEP * round(one.score / SCORE_STEP)
        candidates.append(replace(one, score=score, llr=llr, probability=probability(llr, prior)))
    return replace(result, candidates=tuple(candidates), threshold_score=_stepped(result.threshold_score, SCORE_STEP))


def _stepped(value: float | None, step: float) -> float | None:
    return None if value is None else step * round(value / step)
