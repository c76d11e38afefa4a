"""The stability index by hand-worked counts, and what it says of ratios that moved."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.usecases.score_drift import LLR_BOUNDS, N_RECENT, N_REFERENCE, ScoreDrift, stability_index

N_BINS = len(LLR_BOUNDS) + 1
COUNTS = st.lists(st.integers(0, 1000), min_size=N_BINS, max_size=N_BINS).map(np.array)
ALERT = 0.25
"""What deploy/alerts.yml and docs/operations.md take for drift."""


def normal(seed: int, n: int, mean: float) -> list[float]:
    return np.random.default_rng(seed).normal(mean, 4.0, n).tolist()


def fed(*parts: list[float]) -> ScoreDrift:
    drift = ScoreDrift()
    for llr in (llr for part in parts for llr in part):
        drift.add(llr)
    return drift


def test_two_bins_by_hand() -> None:
    # 0.3 ln(0.8 / 0.5) - 0.3 ln(0.2 / 0.5) = 0.3 ln 4; the half trials do not show among a million.
    index = stability_index(np.array([500_000, 500_000]), np.array([800_000, 200_000]))
    assert index == pytest.approx(0.3 * math.log(4), rel=1e-5)


def test_an_empty_bin_is_half_a_trial() -> None:
    # Shares of 1/2 and 1/2 against 1/4 and 3/4.
    assert stability_index(np.array([1, 1]), np.array([0, 1])) == pytest.approx(0.25 * math.log(3))


@given(COUNTS, COUNTS)
def test_it_is_never_negative_and_has_no_direction(a: np.ndarray, b: np.ndarray) -> None:
    index = stability_index(a, b)
    assert index >= 0
    assert math.isfinite(index)
    assert index == pytest.approx(stability_index(b, a))
    assert stability_index(a, a) == 0


@given(st.integers(0, 20))
def test_chance_alone_is_no_alert(seed: int) -> None:
    llrs = normal(seed, N_REFERENCE + N_RECENT, 3.0)
    assert fed(llrs).index() < ALERT / 2


@given(st.integers(0, 20))
def test_a_normal_distribution_that_moves_by_d_deviations_has_about_d_squared(seed: int) -> None:
    index = fed(normal(seed, N_REFERENCE, 3.0), normal(seed + 100, N_RECENT, 3.0 - 0.75 * 4.0)).index()
    assert index > ALERT
    assert index == pytest.approx(0.75**2, rel=0.4)


def test_there_is_none_before_there_are_enough_trials() -> None:
    llrs = normal(1, N_REFERENCE + N_RECENT, 3.0)
    assert math.isnan(fed(llrs[:-1]).index())
    assert not math.isnan(fed(llrs).index())


def test_what_comes_back_to_where_it_was_has_drifted_no_more() -> None:
    before, away, after = normal(1, N_REFERENCE, 3.0), normal(2, N_RECENT, -5.0), normal(3, N_RECENT, 3.0)
    assert fed(before, away).index() > ALERT
    assert fed(before, away, after).index() < ALERT


def test_every_ratio_has_a_bin_and_a_bound_belongs_to_the_one_below() -> None:
    drift = ScoreDrift(n_reference=2, n_recent=2)
    for llr in (-4.0, -4.5, -4.0, -5.0):
        drift.add(llr)
    assert drift.index() == 0, "(-8, -4] is one bin"
    for llr in (-math.inf, math.inf):
        drift.add(llr)
    assert drift.index() > 0
