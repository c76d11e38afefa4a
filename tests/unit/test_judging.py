"""Score -> LLR -> decision, as settings and bundle have it: on embeddings in a plane."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from app.records import Clip, Reference
from app.usecases.judging import Evidence, Judge, of_clip
from fake_audio import CALIBRATION, LIKELIHOOD, N_EMBEDDING, POINTS
from model.calibration import probability
from model.decision import QualityGate
from model.errors import UnknownOperatingPoint
from model.likelihood import LikelihoodModel
from model.quality import Quality
from model.scoring import Cohort
from model.waveform import Source
from samples import new_reference

GATE = QualityGate(min_speech_s=1.0, min_snr_db=0.0)
GOOD = Quality(duration_s=4.0, speech_s=3.0, snr_db=20.0, clipped_fraction=0.0)
POOR = Quality(duration_s=1.0, speech_s=0.2, snr_db=-5.0, clipped_fraction=0.0)
LLR_OF_POINT_6 = CALIBRATION.llr(0.6, of_clip(GOOD), of_clip(GOOD))


def judge(default: str = "eer", margin: float = 2.0, prior: float = 0.5) -> Judge:
    return Judge(LIKELIHOOD, POINTS, default, prior, GATE, margin)


def reference(speech_s: float, count: int = 1) -> Reference:
    embedding = heard().embedding
    assert embedding is not None
    return replace(new_reference(1, embedding), speech_s=speech_s, enrollment_count=count)


def test_a_judge_needs_its_default_operating_point() -> None:
    with pytest.raises(UnknownOperatingPoint, match="'fmr_1e-9' is not in this bundle; it has: eer, fmr_1e-2"):
        judge(default="fmr_1e-9")
    assert judge().point("fmr_1e-2") is POINTS["fmr_1e-2"]
    assert judge().point(None) is POINTS["eer"]
    with pytest.raises(UnknownOperatingPoint):
        judge().point("")


def heard(quality: Quality = GOOD, score: float = 1.0) -> Clip:
    """A clip with this cosine to every other with a score of 1."""
    embedding = np.zeros(N_EMBEDDING, dtype=np.float32)
    embedding[:2] = score, math.sqrt(1.0 - score**2)
    return Clip(quality, Source("wav", 16_000, 1), embedding)


def evidence(score: float, quality: Quality = GOOD) -> Evidence:
    found = judge().pair(heard(), heard(quality, score))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("score", "outcome"), [(0.501, "accept"), (0.499, "reject"), (1.0, "accept"), (-1.0, "reject")]
)
def test_a_verification_accepts_from_the_threshold_on(score: float, outcome: str) -> None:
    clip = heard()
    result = judge(prior=0.1).verification(evidence(score), POINTS["eer"], [clip], "alice")
    assert result.decision.outcome == outcome
    assert result.llr is not None
    assert (result.score, result.probability) == (pytest.approx(score), probability(result.llr, 0.1))
    assert (result.prior, result.point, result.speaker_id, result.clips) == (0.1, POINTS["eer"], "alice", (clip,))
    side = of_clip(GOOD)
    assert result.llr == pytest.approx(CALIBRATION.llr(score, side, side), abs=1e-5)
    assert result.threshold_score == pytest.approx(0.5)


def test_a_short_clip_says_less_and_needs_another_score() -> None:
    short = Quality(duration_s=4.0, speech_s=1.2, snr_db=20.0, clipped_fraction=0.0)
    for score in (0.9, 0.1):
        long_llr, short_llr = (
            judge().verification(evidence(score, quality), POINTS["fmr_1e-2"], []).llr for quality in (GOOD, short)
        )
        assert long_llr is not None
        assert short_llr is not None
        assert 0 < short_llr / long_llr < 1
    thresholds = [
        judge().verification(evidence(0.9, quality), POINTS["fmr_1e-2"], []).threshold_score
        for quality in (GOOD, short)
    ]
    assert thresholds[0] is not None
    assert thresholds[1] is not None
    assert 0.5 < thresholds[0] < thresholds[1]


def test_a_reference_of_several_clips_says_more_than_one_clip() -> None:
    probe = heard(score=0.9)
    llrs = []
    for count in (1, 3):
        found = judge().claim(reference(3.0 * count, count), probe)
        llrs.append(judge().verification(found, POINTS["eer"], [probe]).llr)
    assert llrs[0] is not None
    assert llrs[1] is not None
    assert llrs[0] < llrs[1]


def test_there_is_no_evidence_without_an_embedding() -> None:
    mute = Clip(GOOD, Source("wav", 16_000, 1), None)
    assert judge().pair(heard(), mute) is None
    assert judge().pair(mute, heard()) is None
    assert judge().claim(reference(6.0), mute) is None
    result = judge().verification(None, POINTS["eer"], [mute])
    assert (result.score, result.llr, result.probability, result.threshold_score) == (None, None, None, None)
    assert result.decision.outcome == "inconclusive"


def test_the_gate_changes_the_decision_and_never_the_measurement() -> None:
    plain = judge().verification(evidence(0.9), POINTS["eer"], [heard()])
    gated = judge().verification(evidence(0.9), POINTS["eer"], [heard(), heard(POOR)])
    assert gated.decision.outcome == "inconclusive"
    assert gated.decision.reasons == ("not_enough_speech", "too_noisy")
    assert (gated.score, gated.llr, gated.probability) == (plain.score, plain.llr, plain.probability)


@pytest.mark.parametrize(
    ("scores", "n_searched", "outcome", "reasons"),
    [
        ([0.9, 0.1], 2, "accept", ()),
        ([0.9, 0.8], 2, "inconclusive", ("ambiguous",)),
        ([0.9, 0.7], 2, "accept", ()),
        ([0.6], math.ceil(math.exp(LLR_OF_POINT_6)), "reject", ()),
        ([0.6], math.floor(math.exp(LLR_OF_POINT_6)), "accept", ()),
        ([], 0, "reject", ("empty_gallery",)),
    ],
)
def test_an_identification_needs_the_raised_threshold_and_a_lead(
    scores: list[float], n_searched: int, outcome: str, reasons: tuple[str, ...]
) -> None:
    rules = judge()
    candidates = [rules.candidate(reference(6.0), evidence(score), POINTS["eer"], GOOD) for score in scores]
    decision = rules.identification(candidates, n_searched, POINTS["eer"], heard())
    assert (decision.outcome, decision.reasons) == (outcome, reasons)


def test_a_claim_knows_each_side_by_its_own_voice_and_evidence() -> None:
    """Where there is a cohort, it matters whose side is held against it."""
    plane = np.eye(N_EMBEDDING, dtype=np.float32)
    likelihood = LikelihoodModel(CALIBRATION, Cohort(plane[:3], n_top=2))
    known, probe = replace(reference(6.0, 2), snr_db=7.0), heard(score=0.6)
    found = replace(judge(), likelihood=likelihood).claim(known, probe)
    assert found is not None
    assert found.score == pytest.approx(0.6)
    both = replace(judge(), likelihood=likelihood).pair(heard(), probe)
    assert both is not None
    assert (both.a.cohort_mean, both.b.cohort_mean) == (found.a.cohort_mean, found.b.cohort_mean)
    # The reference hears the three voices at 1, 0 and 0; the probe at 0.6, 0.8 and 0.
    assert (found.a.cohort_mean, found.b.cohort_mean) == (pytest.approx(0.5), pytest.approx(0.7))
    known_side, probe_side = found.a.information, found.b.information
    assert (known_side.speech_s, known_side.n_clips, known_side.snr_db) == (6.0, 2, 7.0)
    assert (probe_side.speech_s, probe_side.n_clips, probe_side.snr_db) == (3.0, 1, 20.0)


@pytest.mark.parametrize(("score", "outcome"), [(0.9, "accept"), (0.1, "reject")])
def test_a_candidate_is_decided_as_if_this_speaker_alone_had_been_claimed(score: float, outcome: str) -> None:
    alice = replace(reference(6.0), speaker_id="alice", display_name="Alice")
    found = judge(prior=0.1).candidate(alice, evidence(score), POINTS["eer"], GOOD)
    alone = judge(prior=0.1).verification(evidence(score), POINTS["eer"], [heard()])
    assert (found.speaker_id, found.display_name, found.decision.outcome) == ("alice", "Alice", outcome)
    assert found.number == alice.number
    assert (found.score, found.llr, found.probability) == (alone.score, alone.llr, alone.probability)
    assert found.probability == probability(found.llr, 0.1)
    assert found.threshold_score == alone.threshold_score == pytest.approx(0.5)
    poor = judge().candidate(alice, evidence(score), POINTS["eer"], POOR).decision
    assert (poor.outcome, poor.reasons) == ("inconclusive", ("not_enough_speech", "too_noisy"))


def test_a_clip_without_an_embedding_is_nobody_for_its_own_reasons() -> None:
    for quality, reasons in ((POOR, ("not_enough_speech", "too_noisy")), (GOOD, ("not_enough_speech",))):
        decision = judge().identification([], 5, POINTS["eer"], Clip(quality, Source("wav", 16_000, 1), None))
        assert (decision.outcome, decision.reasons) == ("inconclusive", reasons)


def test_a_name_that_is_far_too_long_is_told_cut_short() -> None:
    with pytest.raises(UnknownOperatingPoint) as refused:
        judge().point("p" * 200)
    assert f"{'p' * 80!r} is not in this bundle" in str(refused.value)
