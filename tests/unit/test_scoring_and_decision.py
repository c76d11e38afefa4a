import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import logit, probability, sigmoid
from model.decision import (
    MIN_REPLAY_EVIDENCE,
    Decision,
    EarlyRule,
    OperatingPoint,
    QualityGate,
    coheres,
    decide,
    decide_identification,
    decide_replay,
    has_said_enough,
    is_replay,
)
from model.quality import Quality
from model.scoring import cosine_score, reference, unit

POINT = OperatingPoint("eer", 1.0, 0.02, 0.02, (0.01, 0.03), (0.01, 0.03), 100, 1000, "made trials")
GATE = QualityGate(min_speech_s=1.0, min_snr_db=0.0)
GOOD = Quality(duration_s=4.0, speech_s=3.0, snr_db=20.0, clipped_fraction=0.0)
SHORT = Quality(duration_s=4.0, speech_s=0.4, snr_db=20.0, clipped_fraction=0.0)
NOISY = Quality(duration_s=4.0, speech_s=3.0, snr_db=-3.0, clipped_fraction=0.0)


def test_cosine_of_known_angles() -> None:
    x, y = np.array([3.0, 0.0], np.float32), np.array([0.0, 2.0], np.float32)
    assert cosine_score(x, 7 * x) == pytest.approx(1.0)
    assert cosine_score(x, -x) == pytest.approx(-1.0)
    assert cosine_score(x, y) == pytest.approx(0.0)
    assert cosine_score(x, unit(x) + unit(y)) == pytest.approx(math.sqrt(0.5))


def test_no_rounding_takes_a_cosine_past_one() -> None:
    """Three of these would be past it, by the last bit, on either side."""
    embeddings = np.random.default_rng(0).standard_normal((500, 16)).astype(np.float32)
    assert max(cosine_score(one, 3 * one) for one in embeddings) == 1.0
    assert min(cosine_score(one, -3 * one) for one in embeddings) == -1.0


def test_a_reference_weighs_every_enrollment_alike() -> None:
    long_and_short = np.array([[100.0, 0.0, 0.0], [0.0, 1.0, 0.0]], np.float32)
    assert reference(long_and_short) == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0.0])
    assert reference(long_and_short[:1]) == pytest.approx([1.0, 0.0, 0.0])


@pytest.mark.parametrize("bad", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_an_embedding_without_direction_has_no_score(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="zero or not finite"):
        cosine_score(np.array(bad, np.float32), np.array([1.0, 0.0], np.float32))


@pytest.mark.parametrize("bad", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_one_without_direction_among_many_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="zero or not finite"):
        unit(np.array([[1.0, 0.0], bad], np.float32))


def test_the_last_axis_is_scaled_and_comes_out_as_float32() -> None:
    stacked = np.array([[[3.0, 4.0], [0.0, 2.0]], [[5.0, 12.0], [1.0, 0.0]], [[8.0, 6.0], [0.0, 1.0]]])
    scaled = unit(stacked)
    assert np.linalg.norm(scaled, axis=2) == pytest.approx(np.ones((3, 2)))
    assert scaled.dtype == unit(stacked[0, 0]).dtype == np.float32


@given(st.floats(1e-9, 1 - 1e-9))
def test_sigmoid_undoes_logit(p: float) -> None:
    assert sigmoid(logit(p)) == pytest.approx(p)


@pytest.mark.parametrize("p", [-0.5, 0.0, 1.0, 1.5, math.nan])
def test_only_a_probability_between_nought_and_one_has_finite_log_odds(p: float) -> None:
    with pytest.raises(ValueError, match=rf"^a probability with finite log-odds lies in \(0, 1\); got {p}$"):
        logit(p)


@given(st.floats(-1e6, 1e6))
def test_sigmoid_never_overflows(x: float) -> None:
    assert 0.0 <= sigmoid(x) <= 1.0


def test_no_evidence_leaves_the_prior() -> None:
    assert probability(0.0, 0.03) == pytest.approx(0.03)


def test_bayes_by_hand() -> None:
    # Odds 1:9, evidence 27 times likelier under one speaker: posterior odds 3:1.
    assert probability(math.log(27), 0.1) == pytest.approx(0.75)


def test_the_threshold_itself_accepts() -> None:
    assert decide(1.0, POINT, [GOOD, GOOD], GATE).outcome == "accept"
    assert decide(np.nextafter(1.0, 0.0), POINT, [GOOD, GOOD], GATE).outcome == "reject"


@pytest.mark.parametrize("llr", [-50.0, 0.0, 50.0, None])
def test_one_bad_clip_makes_any_score_inconclusive(llr: float | None) -> None:
    short = decide(llr, POINT, [GOOD, SHORT], GATE)
    assert (short.outcome, short.reasons) == ("inconclusive", ("not_enough_speech",))
    both = decide(llr, POINT, [SHORT, NOISY], GATE)
    assert (both.outcome, both.reasons) == ("inconclusive", ("not_enough_speech", "too_noisy"))


def test_no_embedding_is_never_a_decision() -> None:
    decision = decide(None, POINT, [GOOD], GATE)
    assert (decision.outcome, decision.reasons) == ("inconclusive", ("not_enough_speech",))


def test_an_unmeasurable_noise_level_is_no_reason() -> None:
    unknown = Quality(duration_s=2.0, speech_s=2.0, snr_db=None, clipped_fraction=0.0)
    assert decide(5.0, POINT, [unknown], GATE).outcome == "accept"


def test_identification_raises_the_threshold_by_the_number_searched() -> None:
    just = POINT.llr + math.log(1000)
    assert decide_identification([just], 1000, POINT, GOOD, GATE, margin=2.0).outcome == "accept"
    assert decide_identification([just - 0.01], 1000, POINT, GOOD, GATE, margin=2.0).outcome == "reject"


def test_identification_wants_a_clear_winner() -> None:
    decision = decide_identification([20.0, 18.5], 10, POINT, GOOD, GATE, margin=2.0)
    assert (decision.outcome, decision.reasons) == ("inconclusive", ("ambiguous",))
    assert decide_identification([20.0, 18.0], 10, POINT, GOOD, GATE, margin=2.0).outcome == "accept"
    assert decide_identification([20.0], 10, POINT, GOOD, GATE, margin=2.0).outcome == "accept"


def test_nobody_is_found_in_an_empty_gallery_and_a_bad_clip_finds_nobody() -> None:
    for n_searched in (0, 5):
        empty = decide_identification([], n_searched, POINT, GOOD, GATE, margin=2.0)
        assert (empty.outcome, empty.reasons) == ("reject", ("empty_gallery",))
    bad = decide_identification([30.0], 5, POINT, SHORT, GATE, margin=2.0)
    assert (bad.outcome, bad.reasons) == ("inconclusive", ("not_enough_speech",))


def test_a_gallery_of_one_asks_for_no_more_than_a_verification() -> None:
    just = decide_identification([POINT.llr], 1, POINT, GOOD, GATE, margin=2.0)
    assert (just.outcome, just.reasons) == ("accept", ())
    assert decide_identification([np.nextafter(1.0, 0.0)], 1, POINT, GOOD, GATE, margin=2.0).outcome == "reject"


def test_a_clip_at_the_limits_of_the_gate_decides() -> None:
    assert GATE.reasons(Quality(duration_s=4.0, speech_s=1.0, snr_db=0.0, clipped_fraction=0.0)) == ()
    under = Quality(duration_s=4.0, speech_s=np.nextafter(1.0, 0.0), snr_db=-1e-9, clipped_fraction=0.0)
    assert GATE.reasons(under) == ("not_enough_speech", "too_noisy")


def test_the_least_ratio_of_a_voice_is_enough() -> None:
    assert coheres(-2.0, -2.0)
    assert not coheres(np.nextafter(-2.0, -3.0), -2.0)


def test_a_replay_is_rejected_where_it_is_to_be_refused_whatever_was_decided() -> None:
    for decision in (Decision("accept"), Decision("reject"), Decision("inconclusive", ("too_noisy",))):
        refused = decide_replay(decision, ("replay_suspected",), "refuse")
        assert (refused.outcome, refused.reasons) == ("reject", ("replay_suspected",))
        assert decide_replay(decision, ("replay_suspected",), "flag") is decision
        assert decide_replay(decision, (), "refuse") is decision


def test_a_replay_is_suspected_from_the_limit_on() -> None:
    assert is_replay(MIN_REPLAY_EVIDENCE)
    assert not is_replay(math.nextafter(MIN_REPLAY_EVIDENCE, 0.0))


EARLY = EarlyRule(accept_margin=2.0, reject_margin=3.0, min_speech_s=3.0)


@pytest.mark.parametrize(
    ("llr", "is_enough"),
    [
        (3.0, True),
        (np.nextafter(3.0, 0.0), False),
        (1.0, False),
        (np.nextafter(-2.0, 0.0), False),
        (-2.0, True),
        (None, False),
    ],
)
def test_a_stream_has_said_enough_at_either_boundary(llr: float | None, is_enough: bool) -> None:
    assert has_said_enough(llr, POINT, GOOD, GATE, EARLY) == is_enough


def test_a_stream_that_is_short_or_noisy_has_not_said_enough() -> None:
    short = Quality(duration_s=4.0, speech_s=np.nextafter(3.0, 0.0), snr_db=20.0, clipped_fraction=0.0)
    for quality in (short, NOISY, SHORT):
        assert not has_said_enough(30.0, POINT, quality, GATE, EARLY)
        assert not has_said_enough(-30.0, POINT, quality, GATE, EARLY)
    assert not has_said_enough(30.0, POINT, SHORT, GATE, EarlyRule(2.0, 3.0, 0.0)), "the gate has the last word"
