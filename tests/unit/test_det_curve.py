"""The error curve of a bundle: what is one, and how it is measured."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from made_curves import CURVE
from model.decision import OperatingPoint
from model.det_curve import MAX_POINTS, det_curve_from
from training.bootstrap import bootstrap_interval, speaker_weights
from training.det_curves import det_curve
from training.metrics import rates_at
from training.operating_points import operating_points
from training.trials import Trials, all_pairs


def test_a_curve_reads_back_as_it_was_written() -> None:
    assert det_curve_from(json.loads(json.dumps(asdict(CURVE)))) == CURVE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"llrs": (-2.0, 3.0)}, r"got columns of \[2, 3\]"),
        ({"fmr_intervals": CURVE.fmr_intervals[:2]}, r"got columns of \[2, 3\]"),
        ({"llrs": (-2.0, 3.0, 0.5)}, "do not rise"),
        ({"llrs": (-2.0, -2.0, 3.0)}, "do not rise"),
        ({"llrs": (-2.0, 0.5, np.inf)}, "not finite"),
        ({"llrs": (-2.0, np.nan, 3.0)}, "not finite"),
        ({"fmr": (1.0, np.nan, 0.0)}, "not within 0 and 1"),
        ({"fnmr": (0.0, 1.1, 1.0)}, "not within 0 and 1"),
        ({"fnmr_intervals": ((0.0, 0.0), (-0.1, 0.2), (1.0, 1.0))}, "not within 0 and 1"),
        ({"fnmr_intervals": ((0.0, 0.0), (0.2, 0.1), (1.0, 1.0))}, "ends before it begins"),
        ({"fmr": (0.9, 0.1, 0.0)}, "from accepting all to accepting none"),
        ({"fnmr": (0.0, 0.1, 0.9)}, "from accepting all to accepting none"),
        ({"n_target": 0}, "got 0 target and 300 non-target"),
        ({"n_non_target": -1}, "got 30 target and -1 non-target"),
    ],
)
def test_what_is_no_curve_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CURVE, **changes)


@pytest.mark.parametrize(
    "changes",
    [{"fmr": (1.0, 0.1, 0.2, 0.0)}, {"fnmr": (0.0, 0.2, 0.1, 1.0)}],
)
def test_a_curve_does_not_turn_back(changes: dict[str, Any]) -> None:
    longer = {
        "llrs": (-2.0, 0.5, 1.0, 3.0),
        "fmr": (1.0, 0.1, 0.1, 0.0),
        "fnmr": (0.0, 0.1, 0.1, 1.0),
        "fmr_intervals": (*CURVE.fmr_intervals, (0.0, 0.0)),
        "fnmr_intervals": (*CURVE.fnmr_intervals, (1.0, 1.0)),
    }
    assert len(replace(CURVE, **longer).llrs) == 4
    with pytest.raises(ValueError, match="turns back"):
        replace(CURVE, **{**longer, **changes})


def test_a_curve_is_as_long_as_its_bound_and_no_longer() -> None:
    def of_length(n: int) -> dict[str, Any]:
        rising = tuple(np.linspace(0.0, 1.0, n).tolist())
        around = tuple((rate, rate) for rate in rising)
        return {"llrs": rising, "fmr": rising[::-1], "fnmr": rising, "fmr_intervals": around, "fnmr_intervals": around}

    assert len(replace(CURVE, **of_length(MAX_POINTS)).llrs) == MAX_POINTS
    for n in (1, MAX_POINTS + 1):
        with pytest.raises(ValueError, match=rf"2 to {MAX_POINTS} points in each column; got columns of \[{n}\]"):
            replace(CURVE, **of_length(n))


def test_it_holds_a_point_with_its_very_threshold_and_rates() -> None:
    point = OperatingPoint("eer", 0.5, 0.1, 0.1, (0.0, 0.2), (0.0, 0.2), 30, 300, "made trials")
    assert CURVE.holds(point)
    for other in (replace(point, llr=0.6), replace(point, fmr=0.11), replace(point, fnmr=0.11)):
        assert not CURVE.holds(other)


# --- measured ---------------------------------------------------------------------------------------------------------


def made_trials(n_speakers: int, n_clips: int, apart: float = 4.0) -> tuple[Trials, np.ndarray]:
    """Target trials score `apart` and non-target trials 0 on average, with a deviation of 1."""
    trials = all_pairs("made", [str(i // n_clips) for i in range(n_speakers * n_clips)])
    noise = np.random.default_rng(1).normal(size=len(trials.labels))
    return trials, np.where(trials.labels, apart, 0.0) + noise


def test_the_curve_has_its_ends_and_every_operating_point() -> None:
    trials, llrs = made_trials(40, 6)
    points, _ = operating_points(trials, llrs, "made speakers")
    curve = det_curve(trials, llrs, points.values(), "made speakers")
    assert {"eer", "fmr_1e-2"} <= points.keys()
    assert all(curve.holds(point) for point in points.values())
    assert (curve.llrs[0], curve.llrs[-1]) == (llrs.min(), np.nextafter(llrs.max(), np.inf))
    assert (curve.n_target, curve.n_non_target) == (trials.labels.sum(), (~trials.labels).sum())
    assert curve.measured_on == "made speakers"


def test_every_rate_is_that_of_its_threshold_and_its_interval_the_bootstrap_s() -> None:
    trials, llrs = made_trials(12, 4)
    curve = det_curve(trials, llrs, (), "made speakers")
    assert list(zip(curve.fmr, curve.fnmr, strict=True)) == [rates_at(llrs, trials.labels, at) for at in curve.llrs]
    middle = len(curve.llrs) // 2
    for index, intervals in enumerate((curve.fmr_intervals, curve.fnmr_intervals)):
        expected = bootstrap_interval(
            trials,
            lambda counts, i=index: rates_at(llrs, trials.labels, curve.llrs[middle], speaker_weights(trials, counts))[
                i
            ],
        )
        assert intervals[middle] == pytest.approx(expected, abs=1e-12)


def test_neighbours_are_evenly_apart_on_probit_axes() -> None:
    trials, llrs = made_trials(40, 6, apart=1.0)
    curve = det_curve(trials, llrs, (), "made speakers")
    clear = [i for i in range(len(curve.llrs)) if 0.1 < curve.fmr[i] < 0.9 and 0.1 < curve.fnmr[i] < 0.9]
    steps = np.diff(norm.ppf([curve.fnmr[i] for i in clear]) - norm.ppf([curve.fmr[i] for i in clear]))
    assert len(steps) > 15
    assert 0.8 * np.median(steps) < steps.min() < steps.max() < 1.2 * np.median(steps)


def test_equal_scores_are_one_threshold() -> None:
    trials, _ = made_trials(4, 3)
    llrs = np.where(trials.labels, 1.0, -1.0)
    curve = det_curve(trials, llrs, (), "made speakers")
    assert curve.llrs == (-1.0, 1.0, np.nextafter(1.0, 2.0))
    assert (curve.fmr, curve.fnmr) == ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0))
    assert all(low == high for low, high in (*curve.fmr_intervals, *curve.fnmr_intervals))


def test_a_score_that_is_no_number_has_no_curve() -> None:
    trials, llrs = made_trials(4, 3)
    with pytest.raises(ValueError, match="not finite"):
        det_curve(trials, np.where(np.arange(len(llrs)) == 5, np.nan, llrs), (), "made speakers")
