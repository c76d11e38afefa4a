"""Score and side information -> LLR: properties, and values worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import (
    FEATURES,
    NOMINAL,
    Calibration,
    Ranges,
    SideInformation,
    Term,
    both,
    clarity,
    clips,
    either,
)

RANGES = Ranges(speech_s=(0.5, 8.0), n_clips=(1.0, 4.0), snr_db=(0.0, 20.0))
FULL = Calibration(
    slope=8.0,
    intercept=-2.0,
    fit_prior=0.5,
    terms=(
        Term("speech", 3.0, -1.0),
        Term("speech_both", 5.0, -4.0),
        Term("clips", 1.0, -0.5),
        Term("clarity", -2.0, 0.5),
        Term("clarity_both", 4.0, -1.0),
    ),
    ranges=RANGES,
)
sides = st.builds(
    SideInformation,
    speech_s=st.floats(0.0, 300.0),
    n_clips=st.integers(1, 20),
    snr_db=st.none() | st.floats(-20.0, 90.0),
)
scores = st.floats(-1.0, 1.0)


def test_features_by_hand() -> None:
    # 2 s a clip is half way from 0.5 to 8 s by the logarithm, 2 clips half way from 1 to 4, 5 dB a quarter of 20.
    a = SideInformation(speech_s=4.0, n_clips=2, snr_db=5.0)
    b = SideInformation(speech_s=8.0, n_clips=1, snr_db=None)
    expected = {
        **{"speech": 0.75, "speech_both": 0.5},
        **{"clips": 0.25, "clips_both": 0.0},
        **{"clarity": 0.625, "clarity_both": 0.25},
    }
    assert {name: float(feature(a, b, RANGES)) for name, feature in FEATURES.items()} == pytest.approx(expected)


def test_a_feature_is_the_mean_or_the_product_of_its_two_sides() -> None:
    a = SideInformation(speech_s=4.0, n_clips=2, snr_db=5.0)
    b = SideInformation(speech_s=8.0, n_clips=4, snr_db=10.0)
    assert float(either(clarity)(a, b, RANGES)) == pytest.approx((0.25 + 0.5) / 2)
    assert float(both(clarity)(a, b, RANGES)) == pytest.approx(0.25 * 0.5)
    assert float(both(clips)(a, b, RANGES)) == pytest.approx(0.5 * 1.0)


def test_sides_are_picked_with_all_that_is_known_of_them() -> None:
    measured = SideInformation(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0]), np.array([7.0, 8.0, 9.0]))
    picked = measured[np.array([2, 0])]
    assert [np.asarray(values).tolist() for values in (picked.speech_s, picked.n_clips, picked.snr_db)] == [
        [3.0, 1.0],
        [6.0, 4.0],
        [9.0, 7.0],
    ]
    unmeasured = SideInformation(np.array([1.0, 2.0]), np.array([1.0, 1.0]), None)
    assert unmeasured[np.array([False, True])].snr_db is None


def test_noise_that_was_not_measured_is_none_on_every_side() -> None:
    many = SideInformation(np.array([2.0, 3.0, 4.0]), np.ones(3), None)
    assert clarity(many, RANGES).tolist() == [1.0, 1.0, 1.0]
    some = SideInformation(np.ones(2), np.ones(2), np.array([5.0, np.nan]))
    assert clarity(some, RANGES).tolist() == [0.25, 1.0]


def test_a_line_by_hand() -> None:
    a = SideInformation(speech_s=4.0, n_clips=2, snr_db=5.0)
    b = SideInformation(speech_s=8.0, n_clips=1, snr_db=None)
    slope = 8.0 + 3.0 * 0.75 + 5.0 * 0.5 + 1.0 * 0.25 - 2.0 * 0.625 + 4.0 * 0.25
    intercept = -2.0 - 1.0 * 0.75 - 4.0 * 0.5 - 0.5 * 0.25 + 0.5 * 0.625 - 1.0 * 0.25
    assert FULL.llr(0.3, a, b) == pytest.approx(slope * 0.3 + intercept)
    assert FULL.score_at(1.5, a, b) == pytest.approx((1.5 - intercept) / slope)
    assert type(FULL.llr(0.3, a, b)) is float


@given(scores, sides, sides)
def test_the_sides_may_change_places(score: float, a: SideInformation, b: SideInformation) -> None:
    assert FULL.llr(score, a, b) == FULL.llr(score, b, a)


@given(scores, scores, sides, sides)
def test_a_higher_score_is_a_higher_llr(one: float, other: float, a: SideInformation, b: SideInformation) -> None:
    low, high = sorted((one, other))
    if high - low > 1e-9:
        assert FULL.llr(low, a, b) < FULL.llr(high, a, b)


@given(st.floats(-30.0, 30.0), sides, sides)
def test_the_score_of_an_llr_has_that_llr(llr: float, a: SideInformation, b: SideInformation) -> None:
    assert FULL.llr(FULL.score_at(llr, a, b), a, b) == pytest.approx(llr, abs=1e-9)


@given(scores, sides, sides)
def test_a_line_without_terms_knows_no_sides(score: float, a: SideInformation, b: SideInformation) -> None:
    assert Calibration(20.0, -8.0, 0.5).llr(score, a, b) == 20.0 * score - 8.0


@given(st.lists(st.tuples(scores, sides, sides), min_size=1, max_size=8))
def test_many_trials_at_once_are_each_of_them(trials: list[tuple[float, SideInformation, SideInformation]]) -> None:
    def together(chosen: list[SideInformation]) -> SideInformation:
        return SideInformation(
            np.array([side.speech_s for side in chosen]),
            np.array([side.n_clips for side in chosen]),
            np.array([math.nan if side.snr_db is None else side.snr_db for side in chosen]),
        )

    found = FULL.llr(np.array([s for s, _, _ in trials]), *(together([t[i] for t in trials]) for i in (1, 2)))
    assert found == pytest.approx(np.array([FULL.llr(*trial) for trial in trials]))


@given(sides)
def test_what_lies_outside_the_fitted_range_counts_as_its_edge(side: SideInformation) -> None:
    inside = SideInformation(
        speech_s=np.clip(side.speech_s / side.n_clips, *RANGES.speech_s) * np.clip(side.n_clips, *RANGES.n_clips),
        n_clips=np.clip(side.n_clips, *RANGES.n_clips),
        snr_db=90.0 if side.snr_db is None else np.clip(side.snr_db, *RANGES.snr_db),
    )
    assert FULL.llr(0.4, side, NOMINAL) == pytest.approx(FULL.llr(0.4, inside, NOMINAL))


def test_no_speech_at_all_has_an_llr() -> None:
    silent = SideInformation(speech_s=0.0, n_clips=1, snr_db=None)
    assert math.isfinite(FULL.llr(0.4, silent, NOMINAL))


@pytest.mark.parametrize(
    ("slope", "terms", "least"),
    [
        (0.0, (), "0"),
        (-1.0, (), "-1"),
        (2.0, (Term("speech", -2.0, 0.0),), "0"),
        (2.0, (Term("speech", 9.0, 0.0), Term("clips", -1.5, 0.0), Term("clarity", -1.0, 0.0)), "-0.5"),
    ],
)
def test_the_slope_is_positive_in_every_corner(slope: float, terms: tuple[Term, ...], least: str) -> None:
    with pytest.raises(ValueError, match=f"positive slope wherever its features are; the least is {least}$"):
        Calibration(slope, 0.0, 0.5, terms)
    assert Calibration(slope + 10.0, 0.0, 0.5, terms).slope > 0


def test_numbers_and_names_must_make_sense() -> None:
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="finite numbers"):
            Calibration(bad, 0.0, 0.5)
        with pytest.raises(ValueError, match="finite numbers"):
            Calibration(1.0, 0.0, 0.5, (Term("speech", 0.0, bad),))
    with pytest.raises(ValueError, match=r"knows the features speech, speech_both.*got 'weather'"):
        Calibration(1.0, 0.0, 0.5, (Term("weather", 1.0, 0.0),))
    with pytest.raises(ValueError, match="rises from one finite number to another"):
        Ranges(speech_s=(2.0, 2.0))
    sentence = "^speech and clips are counted by their logarithm, so their ranges begin above 0$"
    for low in (0.0, -1.0):
        with pytest.raises(ValueError, match=sentence):
            Ranges(speech_s=(low, 2.0))
        with pytest.raises(ValueError, match=sentence):
            Ranges(n_clips=(low, 2.0))
