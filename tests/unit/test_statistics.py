"""All draws at once give what the plain definitions give, one draw at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training import metrics
from training.bootstrap import bootstrap_interval, draw_speakers, speaker_weights
from training.statistics import Statistic, measure
from training.trials import Trials, all_pairs

POINTS = {"eer": 0.3, "strict": 2.0}
STATISTICS = ["eer", "min_cllr_bits", "min_dcf", "act_dcf", "cllr_bits", "fmr", "fnmr"]


def made(seed: int = 1, n_speakers: int = 12, n_clips: int = 5, digits: int = 8) -> tuple[Trials, np.ndarray]:
    """Trials and rough LLRs; few digits make many equal scores."""
    rng = np.random.default_rng(seed)
    trials = all_pairs("made", [str(speaker) for speaker in np.repeat(np.arange(n_speakers), n_clips)])
    apart = rng.normal(size=len(trials.labels)) * 1.5 + np.where(trials.labels, 2.0, -2.5)
    return trials, np.round(apart, digits)


def plainly(name: str, llrs: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> float:
    curve = metrics.error_curve(llrs, labels, weights)
    return {
        "eer": lambda: metrics.eer(curve)[0],
        "min_cllr_bits": lambda: metrics.min_cllr_bits(llrs, labels, weights),
        "min_dcf": lambda: metrics.min_dcf(curve, 0.05),
        "act_dcf": lambda: metrics.act_dcf(llrs, labels, 0.05, weights=weights),
        "cllr_bits": lambda: metrics.cllr_bits(llrs, labels, weights),
        "fmr": lambda: metrics.rates_at(llrs, labels, POINTS["strict"], weights)[0],
        "fnmr": lambda: metrics.rates_at(llrs, labels, POINTS["strict"], weights)[1],
    }[name]()


def quickly(name: str, trials: Trials, llrs: np.ndarray, n_draws: int) -> Statistic:
    found = measure(trials, llrs, are_llrs=True, thresholds=POINTS, n_draws=n_draws)
    if name in ("min_dcf", "act_dcf"):
        return getattr(found, name)[0.05]
    return getattr(found, name)["strict"] if name in ("fmr", "fnmr") else getattr(found, name)


@pytest.mark.parametrize("digits", [8, 1, 0], ids=["no ties", "ties", "mostly ties"])
@pytest.mark.parametrize("name", STATISTICS)
def test_every_statistic_and_its_interval_are_the_plain_ones(name: str, digits: int) -> None:
    trials, llrs = made(digits=digits)
    found = quickly(name, trials, llrs, n_draws=40)
    assert found.value == pytest.approx(plainly(name, llrs, trials.labels), abs=1e-12)
    interval = bootstrap_interval(
        trials, lambda counts: plainly(name, llrs, trials.labels, speaker_weights(trials, counts)), n_draws=40
    )
    assert found.interval == pytest.approx(interval, abs=1e-9)
    assert found.interval[0] < found.interval[1]


@given(st.integers(0, 10_000))
def test_it_holds_for_any_scores(seed: int) -> None:
    trials, llrs = made(seed, n_speakers=4, n_clips=3, digits=seed % 3)
    found = measure(trials, llrs, are_llrs=True, n_draws=5)
    counts = [c for c in draw_speakers(trials, 5) if speaker_weights(trials, c)[~trials.labels].any()]
    for draw, drawn in enumerate(counts):
        weights = speaker_weights(trials, drawn)
        assert found.eer.draws[draw] == pytest.approx(plainly("eer", llrs, trials.labels, weights), abs=1e-12)
        assert found.min_cllr_bits.draws[draw] == pytest.approx(
            plainly("min_cllr_bits", llrs, trials.labels, weights), abs=1e-9
        )


def test_a_small_memory_changes_nothing() -> None:
    trials, llrs = made()
    whole = measure(trials, llrs, are_llrs=True, n_draws=30)
    in_parts = measure(trials, llrs, are_llrs=True, n_draws=30, max_weights=3 * len(llrs))
    assert np.array_equal(whole.eer.draws, in_parts.eer.draws)


def test_separable_llrs_have_no_error_in_any_draw() -> None:
    trials, _ = made()
    found = measure(trials, np.where(trials.labels, 30.0, -30.0), are_llrs=True, thresholds={"eer": 0.0})
    assert (found.eer.value, found.eer.interval) == (0.0, (0.0, 0.0))
    assert found.min_dcf[0.01].interval == found.act_dcf[0.01].interval == (0.0, 0.0)
    assert found.min_cllr_bits.value == pytest.approx(0.0, abs=1e-12)
    assert found.fmr["eer"].value == found.fnmr["eer"].value == 0.0


def test_an_llr_of_zero_costs_one_bit_in_every_draw() -> None:
    trials, _ = made()
    found = measure(trials, np.zeros(len(trials.labels)), are_llrs=True)
    assert found.cllr_bits is not None
    assert np.allclose(found.cllr_bits.draws, 1.0)
    assert np.allclose(found.min_cllr_bits.draws, 1.0)
    assert np.allclose(found.eer.draws, 0.5)


def test_what_pools_adjacent_violators_sees_only_the_order() -> None:
    trials, llrs = made()
    found = measure(trials, llrs, are_llrs=False, n_draws=20)
    stretched = measure(trials, np.exp(llrs / 3.0) - 7.0, are_llrs=False, n_draws=20)
    assert np.allclose(found.min_cllr_bits.draws, stretched.min_cllr_bits.draws, atol=1e-12)
    assert np.array_equal(found.eer.draws, stretched.eer.draws)


def test_bare_scores_have_no_actual_cost() -> None:
    trials, scores = made()
    found = measure(trials, scores, are_llrs=False, n_draws=20)
    assert (found.cllr_bits, found.act_dcf, found.fmr) == (None, {}, {})
    with pytest.raises(ValueError, match="a threshold is an LLR"):
        measure(trials, scores, are_llrs=False, thresholds=POINTS)


def test_an_encoder_differs_from_itself_by_nothing_and_from_a_worse_one_for_certain() -> None:
    trials, llrs = made()
    worse = np.round(llrs + np.random.default_rng(7).normal(0, 3.0, len(llrs)), 8)
    one, other = (measure(trials, scores, are_llrs=True).eer for scores in (llrs, worse))
    assert (one - one).interval == (0.0, 0.0)
    low, high = (other - one).interval
    assert 0 < low <= (other - one).value <= high
    assert high - low < other.interval[1] - other.interval[0]


@pytest.mark.parametrize("labels", [np.ones(3, bool), np.zeros(3, bool)])
def test_one_kind_of_trial_cannot_be_measured(labels: np.ndarray) -> None:
    trials = Trials("t", (), np.array([0, 0, 1]), np.array([1, 2, 2]), labels, np.arange(3))
    with pytest.raises(ValueError, match="at least one target and one non-target"):
        measure(trials, np.arange(3.0), are_llrs=False)


def test_a_score_that_is_not_finite_cannot_be_measured() -> None:
    trials, llrs = made()
    llrs[3] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        measure(trials, llrs, are_llrs=True)
