"""One speaker, one voice: worked by hand on embeddings in a plane, where the score is the cosine of an angle."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from app.records import NewEnrollment
from app.usecases.consistency import ConsistencyRule
from model.calibration import Calibration, Ranges, Term
from model.errors import InconsistentVoice
from model.likelihood import LikelihoodModel
from model.scoring import Cohort, Embedding
from samples import new_enrollment, new_reference

SCORE_IS_LLR = LikelihoodModel(Calibration(slope=1.0, intercept=0.0, fit_prior=0.5))


def at(degrees: float) -> Embedding:
    angle = math.radians(degrees)
    return np.array([math.cos(angle), math.sin(angle)], dtype=np.float32)


def clips(*degrees: float, speech_s: float = 4.0) -> dict[str, NewEnrollment]:
    clip = new_enrollment(0, speech_s=speech_s)
    return {f"clip at {angle:g}": replace(clip, embedding=at(angle)) for angle in degrees}


def rule(min_score: float) -> ConsistencyRule:
    return ConsistencyRule(SCORE_IS_LLR, min_score)


def test_the_first_clip_alone_has_nothing_to_be_held_against() -> None:
    rule(1e9).require_one_voice(clips(0), None)


def test_a_clip_is_held_against_the_others_and_not_against_itself() -> None:
    # 0 and 60 degrees against each other; a clip within its own reference would be at 30 degrees of it.
    rule(0.49).require_one_voice(clips(0, 60), None)
    with pytest.raises(InconsistentVoice, match=r"clip at 0 .* ratio is under 0\.51; at least 0\.51 is needed"):
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


def test_a_refusal_says_what_is_needed_and_what_to_do() -> None:
    with pytest.raises(InconsistentVoice) as refused:
        rule(0.51).require_one_voice(clips(0, 60), None)
    assert str(refused.value) == (
        "clip at 0 does not sound like the speaker's other clips: its log-likelihood ratio is under 0.51; at least 0.51 is "
        "needed (VOUCH_ENROLL_MIN_LLR). Check who speaks in each clip. If the wrong voice was enrolled before, erase the "
        "speaker and enrol afresh."
    )


@pytest.mark.parametrize(("angle", "under"), [(60.05, r"0\.5"), (91, "0"), (179, "0")])
def test_the_ratio_is_told_too_coarsely_to_be_climbed(angle: float, under: str) -> None:
    with pytest.raises(InconsistentVoice, match=rf"ratio is under {under}; at least 0\.5 is needed"):
        rule(0.5).require_one_voice(clips(0, angle), None)


def test_what_is_known_of_a_clip_and_of_the_others_counts() -> None:
    # One clip of 1 s (a share of 0) against two of 2 s each (0.5 of speech, and 1 of clips): the means of both sides.
    ranges = Ranges(speech_s=(1.0, 4.0), n_clips=(1.0, 2.0))
    terms = (Term("speech", 0.0, 8.0), Term("clips", 0.0, 4.0))
    calibration = Calibration(1.0, 0.0, 0.5, terms, ranges)
    short, long = clips(0, speech_s=1.0), clips(1, 2, speech_s=2.0)
    llr = math.cos(math.radians(1.5)) + 8.0 * 0.25 + 4.0 * 0.5
    for slack, is_refused in ((-0.01, False), (0.01, True)):
        strict = ConsistencyRule(LikelihoodModel(calibration), llr + slack)
        if is_refused:
            with pytest.raises(InconsistentVoice, match="clip at 0 "):
                strict.require_one_voice(short | long, None)
        else:
            strict.require_one_voice(short | long, None)


def test_the_speech_of_stored_clips_is_added_to_that_of_the_others_in_the_call() -> None:
    # Each fresh clip of 4 s is held against two of 8 s together, which is 4 s a clip and a share of 1.
    calibration = Calibration(1.0, 0.0, 0.5, (Term("speech", 0.0, 8.0),), Ranges(speech_s=(1.0, 4.0)))
    ConsistencyRule(LikelihoodModel(calibration), 8.99).require_one_voice(clips(0, 1), new_reference("alice", at(0)))


def test_stored_clips_are_counted_among_the_others() -> None:
    # One clip has a share of 0; the two that it is held against, one stored and one fresh, have 1.
    calibration = Calibration(1.0, 0.0, 0.5, (Term("clips", 0.0, 4.0),), Ranges(n_clips=(1.0, 2.0)))
    ConsistencyRule(LikelihoodModel(calibration), 2.99).require_one_voice(clips(0, 1), new_reference("alice", at(0)))


def test_the_noise_of_stored_clips_counts_beside_that_of_the_others_in_the_call() -> None:
    # The fresh ones are at 21.5 dB, the stored one at 10: 15.75 dB for the two that each fresh one is held against.
    calibration = Calibration(1.0, 0.0, 0.5, (Term("clarity", 0.0, 8.0),), Ranges(snr_db=(0.0, 20.0)))
    stored = replace(new_reference("alice", at(0)), snr_db=10.0)
    llr = 1.0 + 8.0 * (1.0 + 15.75 / 20.0) / 2.0
    ConsistencyRule(LikelihoodModel(calibration), llr - 0.01).require_one_voice(clips(0, 1), stored)
    with pytest.raises(InconsistentVoice):
        ConsistencyRule(LikelihoodModel(calibration), llr + 0.01).require_one_voice(clips(0, 1), stored)


def test_both_sides_are_measured_against_the_cohort() -> None:
    # At 0 degrees the best two cosines with the cohort are 0.5 and 0; at 60 they are 1 and that of 30 degrees.
    half = math.cos(math.radians(30))
    llr = ((0.5 - 0.25) / 0.25 + (0.5 - (1 + half) / 2) / ((1 - half) / 2)) / 2
    likelihood = replace(SCORE_IS_LLR, cohort=Cohort(np.stack([at(60), at(90), at(180)]), n_top=2))
    ConsistencyRule(likelihood, llr - 0.01).require_one_voice(clips(0, 60), None)
    with pytest.raises(InconsistentVoice):
        ConsistencyRule(likelihood, llr + 0.01).require_one_voice(clips(0, 60), None)


def test_stored_clips_bring_their_speech_and_noise() -> None:
    ranges = Ranges(speech_s=(1.0, 4.0), n_clips=(1.0, 2.0), snr_db=(0.0, 20.0))
    calibration = Calibration(1.0, 0.0, 0.5, (Term("clarity", 0.0, 8.0),), ranges)
    stored = replace(new_reference("alice", at(0)), snr_db=10.0)
    fresh = clips(0)  # at 21.5 dB, a share of 1; the stored one has 0.5
    ConsistencyRule(LikelihoodModel(calibration), 1.0 + 8.0 * 0.75 - 0.01).require_one_voice(fresh, stored)
    with pytest.raises(InconsistentVoice):
        ConsistencyRule(LikelihoodModel(calibration), 1.0 + 8.0 * 0.75 + 0.01).require_one_voice(fresh, stored)
