import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import (
    act_dcf,
    balanced_accuracy,
    bayes_threshold,
    best_accuracy_threshold,
    cllr_bits,
    eer,
    error_curve,
    min_cllr_bits,
    min_dcf,
    rates_at,
)

LABELS = np.array([True, True, True, True, False, False, False, False])


def test_separable_scores_have_no_error() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.4, 0.3, 0.2, 0.1])
    curve = error_curve(scores, LABELS)
    assert eer(curve)[0] == 0
    assert 0.4 < eer(curve)[1] <= 0.6
    assert min_dcf(curve, 0.01) == 0
    assert balanced_accuracy(scores, LABELS, best_accuracy_threshold(scores, LABELS)) == 1


def test_a_hand_worked_eer() -> None:
    # One target of four below, one non-target of four above: 25 % each at any threshold in between.
    scores = np.array([0.9, 0.8, 0.7, 0.3, 0.6, 0.2, 0.1, 0.0])
    assert eer(error_curve(scores, LABELS))[0] == pytest.approx(0.25)


def test_reversed_scores_are_all_wrong() -> None:
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9])
    assert eer(error_curve(scores, LABELS))[0] == pytest.approx(1.0)


def test_equal_scores_are_a_coin_toss() -> None:
    assert eer(error_curve(np.zeros(8), LABELS))[0] == pytest.approx(0.5)


def test_min_dcf_of_a_system_that_says_nothing_is_one() -> None:
    assert min_dcf(error_curve(np.zeros(8), LABELS), 0.01) == pytest.approx(1.0)


def test_a_hand_worked_min_dcf() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.3, 0.6, 0.2, 0.1, 0.0])
    # At prior 0.5, accepting from 0.7 up misses one target of four and lets nobody in: 0.5 * 0.25 / 0.5.
    assert min_dcf(error_curve(scores, LABELS), 0.5) == pytest.approx(0.25)


def test_rates_at_a_threshold_count_equality_as_acceptance() -> None:
    scores = np.array([0.9, 0.8, 0.5, 0.3, 0.5, 0.2, 0.1, 0.0])
    assert rates_at(scores, LABELS, 0.5) == (0.25, 0.25)


def test_a_weight_of_two_is_the_trial_twice() -> None:
    rng = np.random.default_rng(1)
    scores, labels = rng.normal(size=60), np.arange(60) % 3 == 0
    weights = np.where(np.arange(60) % 5 == 0, 2.0, 1.0)
    repeated = np.repeat(np.arange(60), weights.astype(int))
    assert eer(error_curve(scores, labels, weights)) == pytest.approx(
        eer(error_curve(scores[repeated], labels[repeated]))
    )


def test_an_llr_of_zero_costs_one_bit() -> None:
    assert cllr_bits(np.zeros(8), LABELS) == pytest.approx(1.0)


def test_large_right_llrs_cost_nothing_and_large_wrong_ones_a_lot() -> None:
    llrs = np.where(LABELS, 50.0, -50.0)
    assert cllr_bits(llrs, LABELS) < 1e-9
    assert cllr_bits(-llrs, LABELS) > 50


def test_the_least_cllr_is_below_any_monotone_rescoring() -> None:
    rng = np.random.default_rng(2)
    labels = np.arange(400) % 2 == 0
    scores = rng.normal(size=400) + 2.0 * labels
    least = min_cllr_bits(scores, labels)
    assert 0 < least <= cllr_bits(2.0 * scores - 2.0, labels) + 1e-12
    assert min_cllr_bits(3.0 * scores - 7.0, labels) == pytest.approx(least)


@given(st.integers(0, 10_000))
def test_the_eer_lies_on_both_curves_and_ignores_monotone_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.concatenate([[True, False], rng.random(50) < 0.4])
    scores = rng.normal(size=52) + labels
    rate, threshold = eer(error_curve(scores, labels))
    assert 0 <= rate <= 1
    assert eer(error_curve(np.exp(scores), labels))[0] == pytest.approx(rate)
    fmr, fnmr = rates_at(scores, labels, threshold)
    assert abs(fmr - fnmr) <= 1 / labels.sum() + 1 / (~labels).sum()


@pytest.mark.parametrize("labels", [np.ones(3, bool), np.zeros(3, bool)])
def test_one_kind_of_trial_has_no_error_rate(labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="at least one target and one non-target"):
        error_curve(np.arange(3.0), labels)


def test_a_score_that_is_not_finite_is_no_score() -> None:
    with pytest.raises(ValueError, match="not finite"):
        error_curve(np.array([0.0, np.nan]), np.array([True, False]))


def test_accepting_all_costs_what_the_prior_says() -> None:
    # Every non-target is let in and no target missed: (1 - p) / min(p, 1 - p).
    llrs = np.full(8, 20.0)
    assert act_dcf(llrs, LABELS, 0.01) == pytest.approx(99.0)
    assert act_dcf(llrs, LABELS, 0.5) == pytest.approx(1.0)
    assert act_dcf(-llrs, LABELS, 0.01) == pytest.approx(1.0)


def test_a_hand_worked_actual_cost() -> None:
    # ln 99 = 4.6: one target of four lies below, one non-target of four above.
    llrs = np.array([9.0, 8.0, 7.0, 3.0, 6.0, 2.0, 1.0, 0.0])
    assert bayes_threshold(0.01) == pytest.approx(np.log(99))
    assert act_dcf(llrs, LABELS, 0.01) == pytest.approx(0.25 + 99 * 0.25)
    # Ten times the cost of a miss lowers the threshold to ln 9.9 = 2.3; then only the false alarm is left.
    assert act_dcf(llrs, LABELS, 0.01, c_miss=10.0) == pytest.approx(0.99 * 0.25 / 0.1)


def test_the_actual_cost_is_never_below_the_least() -> None:
    rng = np.random.default_rng(3)
    labels = np.arange(400) % 2 == 0
    llrs = rng.normal(size=400) + 2.0 * labels
    for p_target in (0.01, 0.05, 0.5):
        assert act_dcf(llrs, labels, p_target) >= min_dcf(error_curve(llrs, labels), p_target)


def test_weights_count_trials_in_every_cost() -> None:
    rng = np.random.default_rng(4)
    labels = np.arange(90) % 3 == 0
    llrs = rng.normal(size=90) + 1.5 * labels
    weights = np.arange(90) % 4.0
    repeated = np.repeat(np.arange(90), weights.astype(int))
    for cost in (cllr_bits, min_cllr_bits):
        assert cost(llrs, labels, weights) == pytest.approx(cost(llrs[repeated], labels[repeated]))
        assert cost(llrs, labels, np.ones(90)) == pytest.approx(cost(llrs, labels))
    assert act_dcf(llrs, labels, 0.2, weights=weights) == pytest.approx(act_dcf(llrs[repeated], labels[repeated], 0.2))
