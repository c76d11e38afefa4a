"""One speaker, one voice: worked by hand on embeddings in a plane, where the score is the cosine of an angle."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from app.usecases.consistency import ConsistencyRule
from model.calibration import Calibration
from model.errors import InconsistentVoice
from model.scoring import Embedding
from samples import new_reference

SCORE_IS_LLR = Calibration(slope=1.0, intercept=0.0, fit_prior=0.5, calibration_id="score-is-llr")


def at(degrees: float) -> Embedding:
    angle = math.radians(degrees)
    return np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)


def clips(*degrees: float) -> dict[str, Embedding]:
    return {f"clip at {angle:g}": at(angle) for angle in degrees}


def rule(min_score: float) -> ConsistencyRule:
    return ConsistencyRule(SCORE_IS_LLR, min_score)


def test_the_first_clip_alone_has_nothing_to_be_held_against() -> None:
    rule(1e9).require_one_voice(clips(0), None)


def test_a_clip_is_held_against_the_others_and_not_against_itself() -> None:
    # 0 and 60 degrees against each other; a clip within its own reference would be at 30 degrees of it.
    rule(0.49).require_one_voice(clips(0, 60), None)
    with pytest.raises(InconsistentVoice, match=r"clip at 0 .* ratio is 0\.50; at least 0\.51 is needed"):
        rule(0.51).require_one_voice(clips(0, 60), None)


def test_the_one_that_is_least_like_the_rest_is_named() -> None:
    with pytest.raises(InconsistentVoice, match="clip at 90 "):
        rule(0.9).require_one_voice(clips(0, 90, 10, 20), None)


def test_what_is_stored_weighs_as_many_clips_as_it_has() -> None:
    # Three clips at 0 and one fresh at 90: the reference of the others stands at atan(1/3) = 18.4 degrees, and the
    # fresh one at 20 is within 2 degrees of it. The one at 90 is held against 3 at 0 and 1 at 20.
    stored = replace(new_reference("alice", at(0)), enrollment_count=3)
    total = 3 * at(0) + at(20)
    score = float(at(90) @ total / np.linalg.norm(total))
    rule(score - 0.01).require_one_voice(clips(90, 20), stored)
    with pytest.raises(InconsistentVoice, match="clip at 90 "):
        rule(score + 0.01).require_one_voice(clips(90, 20), stored)


def test_one_clip_against_what_is_stored() -> None:
    rule(0.49).require_one_voice(clips(60), new_reference("alice", at(0)))
    with pytest.raises(InconsistentVoice):
        rule(0.51).require_one_voice(clips(60), new_reference("alice", at(0)))


def test_the_ratio_is_never_rounded_up_to_the_one_it_missed() -> None:
    with pytest.raises(InconsistentVoice, match=r"ratio is 0\.49; at least 0\.5 is needed"):
        rule(0.5).require_one_voice(clips(0, 60.05), None)
