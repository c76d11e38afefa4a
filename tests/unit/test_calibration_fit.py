"""The logistic regression behind a calibration: finds what is true, and cannot turn round."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.calibration import Calibration, SideInformation
from model.errors import InvalidArgument
from training.calibration_choice import FEATURE_SETS
from training.calibration_fit import FitTrials, fit_calibration, ranges_of
from training.metrics import cllr_bits, min_cllr_bits

ONE_CLIP = SideInformation(np.array([3.0]), np.array([1.0]), np.array([30.0]))


def trials(scores: np.ndarray, labels: np.ndarray, speech_s: np.ndarray | None = None) -> FitTrials:
    n = len(scores)
    side = SideInformation(np.full(n, 3.0) if speech_s is None else speech_s, np.ones(n), np.full(n, 30.0))
    return FitTrials(scores, labels, np.ones(n), side, side)


def gaussian_scores(n: int, seed: int = 1, separation: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Unit-variance scores whose true LLR is separation * (score - separation / 2)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4 == 0
    return rng.normal(size=n) + separation * labels, labels


def noisy_trials(n: int, seed: int) -> FitTrials:
    """Scores whose separation grows with the speech of both sides, as encoders' do; several clips on side a."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3 == 0
    speech_a, speech_b = (np.exp(rng.uniform(np.log(0.3), np.log(8.0), n)) for _ in range(2))
    n_clips = rng.choice([1.0, 3.0], n)
    quality = np.sqrt(speech_a / (speech_a + 1.0 / n_clips) * speech_b / (speech_b + 1.0))
    scores = 0.7 * quality * labels + 0.15 * rng.normal(size=n)
    snr_db = rng.uniform(0.0, 40.0, n)
    return FitTrials(
        scores,
        labels,
        np.ones(n),
        SideInformation(speech_a * n_clips, n_clips, snr_db),
        SideInformation(speech_b, np.ones(n), snr_db[::-1]),
    )


@pytest.mark.parametrize("prior", [0.1, 0.5, 0.9])
def test_the_line_is_the_true_llr_whatever_the_prior_and_the_class_sizes(prior: float) -> None:
    fitted = fit_calibration(trials(*gaussian_scores(200_000)), (), prior)
    assert fitted.slope == pytest.approx(3.0, rel=0.05)
    assert fitted.intercept == pytest.approx(-4.5, rel=0.05)
    assert fitted.fit_prior == prior


def test_trials_count_by_their_weight() -> None:
    """Half of the trials say another thing; without weight they say nothing."""
    good, labels = gaussian_scores(40_000)
    bad, _ = gaussian_scores(40_000, seed=2, separation=1.0)
    one, n = trials(np.concatenate([good, bad]), np.concatenate([labels, labels])), 40_000
    weights = np.repeat([1.0, 0.0], n)
    weighted = fit_calibration(FitTrials(one.scores, one.labels, weights, one.a, one.b), (), 0.5)
    assert weighted.slope == pytest.approx(fit_calibration(trials(good, labels), (), 0.5).slope, rel=0.01)
    assert fit_calibration(one, (), 0.5).slope < 0.8 * weighted.slope


def test_an_encoders_scale_does_not_matter() -> None:
    scores, labels = gaussian_scores(20_000)
    plain = fit_calibration(trials(scores, labels), (), 0.5)
    scaled = fit_calibration(trials(0.01 * scores + 0.6, labels), (), 0.5)
    llrs = plain.llr(scores, ONE_CLIP, ONE_CLIP)
    assert scaled.llr(0.01 * scores + 0.6, ONE_CLIP, ONE_CLIP) == pytest.approx(llrs, abs=0.02)


def test_calibrated_scores_cost_little_more_than_the_least_possible_on_fresh_ones() -> None:
    scores, labels = gaussian_scores(20_000)
    fitted = fit_calibration(trials(scores, labels), (), 0.5)
    fresh, fresh_labels = gaussian_scores(20_000, seed=2)
    llrs = fitted.llr(fresh, ONE_CLIP, ONE_CLIP)
    assert cllr_bits(llrs, fresh_labels) - min_cllr_bits(llrs, fresh_labels) < 0.02


def test_side_information_is_worth_what_it_tells() -> None:
    fitted_on, fresh = noisy_trials(30_000, seed=1), noisy_trials(30_000, seed=2)

    def cost(features: tuple[str, ...]) -> float:
        fitted = fit_calibration(fitted_on, features, 0.5)
        return cllr_bits(fitted.llr(fresh.scores, fresh.a, fresh.b), fresh.labels)

    line, with_speech, with_clips = (cost(features) for features in FEATURE_SETS[:3])
    assert with_speech < line - 0.03
    assert with_clips < with_speech


def evidence_grid(calibration: Calibration, score: float) -> np.ndarray:
    """LLRs of a score, by the speech, clips and clarity of side a (axes 0 to 2) and the speech of b (axis 3)."""
    low, high = calibration.ranges.speech_s
    speech_s = np.geomspace(low / 2, high * 2, 6)
    found = [
        calibration.llr(score, SideInformation(s * n, n, snr), SideInformation(t, 1.0, 20.0))
        for s, n, snr, t in product(speech_s, (1.0, 2.0, 3.0), (-5.0, 5.0, 15.0, 30.0), speech_s)
    ]
    return np.array(found).reshape(6, 3, 4, 6)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(FEATURE_SETS), st.floats(-0.2, 0.2))
def test_llrs_shrink_as_clips_get_shorter_whatever_was_fitted(
    seed: int, features: tuple[str, ...], shift: float
) -> None:
    """At the high end of the scores less evidence never says more for one speaker, at the low end never more against."""
    fitted_on = noisy_trials(300, seed)
    # Few trials, and a domain that says the opposite: short clips score higher than long ones.
    scores = fitted_on.scores - shift * np.log(np.asarray(fitted_on.b.speech_s))
    fitted = fit_calibration(
        FitTrials(scores, fitted_on.labels, fitted_on.weights, fitted_on.a, fitted_on.b), features, 0.5
    )
    low, high = np.quantile(scores[~fitted_on.labels], 0.05), np.quantile(scores[fitted_on.labels], 0.95)
    for score, sign in ((float(high), 1.0), (float(low), -1.0)):
        strength = sign * evidence_grid(fitted, score)
        assert strength.min() >= -1e-9
        for axis in range(4):
            assert np.diff(strength, axis=axis).min() >= -1e-9


def test_reversed_or_constant_scores_cannot_be_calibrated() -> None:
    scores, labels = gaussian_scores(2_000)
    for bad in (-10.0 * scores, np.zeros(2_000)):
        with pytest.raises(InvalidArgument, match="does not tell speakers apart"):
            fit_calibration(trials(bad, labels), (), 0.5)


@pytest.mark.parametrize("label", [True, False])
def test_one_kind_of_trial_is_no_calibration_set(label: bool) -> None:
    with pytest.raises(InvalidArgument, match="needs two speakers with two clips at least"):
        fit_calibration(trials(np.arange(5.0), np.full(5, label)), (), 0.5)


def test_ranges_are_what_was_fitted_on() -> None:
    a = SideInformation(np.geomspace(0.5, 8.0, 1001) * 3.0, np.full(1001, 3.0), np.full(1001, np.nan))
    b = SideInformation(np.full(1001, 2.0), np.ones(1001), np.full(1001, 20.0))
    found = ranges_of(a, b)
    assert found.speech_s == (pytest.approx(0.5 * 16**0.02, rel=0.01), pytest.approx(8.0 / 16**0.02, rel=0.01))
    assert found.n_clips == (1.0, 3.0)
    alone = ranges_of(b, b)
    assert alone.speech_s[0] < alone.speech_s[1]
    assert alone.n_clips[0] < alone.n_clips[1]
