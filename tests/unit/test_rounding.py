"""What a key without the scope `scores` sees, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.access import Caller
from app.api import rounding
from app.records import Clip, Identification, IdentifiedCandidate, Verification
from fake_audio import POINTS
from model.calibration import probability
from model.decision import Decision
from model.quality import Quality
from model.waveform import Source

EXACT = Caller("a", "t", frozenset({"verify", "scores"}))
COARSE = Caller("a", "t", frozenset({"verify"}))
CLIP = Clip(Quality(4.0, 3.0, 20.0, 0.0), Source("wav", 16_000, 1), None)
VERIFIED = Verification(
    decision=Decision("accept"),
    score=0.76,
    llr=3.9,
    probability=0.98,
    prior=0.1,
    point=POINTS["eer"],
    threshold_score=0.63,
    speaker_id="alice",
    clips=(CLIP,),
)
FOUND = IdentifiedCandidate(7, "alice", "Alice", 0.74, 2.4, 0.91, Decision("accept"), 0.63)
IDENTIFIED = Identification(Decision("accept"), (FOUND, FOUND), POINTS["eer"], 0.63, 2, CLIP)


def test_a_verification_is_told_in_steps_and_nothing_else_of_it_changes() -> None:
    expected = replace(
        VERIFIED,
        score=pytest.approx(0.75, abs=1e-12),
        llr=4.0,
        probability=probability(4.0, 0.1),
        threshold_score=pytest.approx(0.65, abs=1e-12),
    )
    assert rounding.verification(VERIFIED, COARSE) == expected
    assert rounding.verification(VERIFIED, EXACT) is VERIFIED


def test_what_was_not_measured_stays_unsaid() -> None:
    mute = replace(VERIFIED, score=None, llr=None, probability=None, threshold_score=None)
    assert rounding.verification(mute, COARSE) == mute


def test_each_candidate_is_told_in_steps_and_nothing_else_of_it_changes() -> None:
    coarse = replace(FOUND, score=pytest.approx(0.75, abs=1e-12), llr=2.0, probability=probability(2.0, 0.25))
    expected = replace(IDENTIFIED, candidates=(coarse, coarse), threshold_score=pytest.approx(0.65, abs=1e-12))
    assert rounding.identification(IDENTIFIED, COARSE, prior=0.25) == expected
    assert rounding.identification(IDENTIFIED, EXACT, prior=0.25) is IDENTIFIED
