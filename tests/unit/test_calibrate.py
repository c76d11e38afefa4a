"""calibrate: what it chooses, measures, writes and refuses, on made voices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import made_voices
from made_calibrations import calibration_result
from made_curves import CURVE
from model.bundle import load_bundle
from model.calibration import Calibration, Ranges, Term
from model.errors import InvalidArgument
from model.likelihood import LikelihoodModel
from model.scoring import Cohort
from samples import random_embeddings
from tiny_bundle import POINTS, write_tiny_bundle
from training.calibrate import MIN_GAIN_BITS, CalibrationResult, calibrate, scored
from training.calibration_choice import (
    FEATURE_SETS,
    TOLERANCE_BITS,
    Candidate,
    best_of,
    held_out_llrs,
    mean_cllr,
)
from training.calibration_file import load_calibration, save_calibration
from training.calibration_trials import calibration_trials
from training.cohorts import Voices
from training.metrics import cllr_bits
from training.recalibrate import recalibrate

ROWS = made_voices.rows(16, 5)


@pytest.fixture(scope="module", autouse=True)
def few_trials() -> Iterator[None]:
    """Of 16 speakers more trials say hardly more, and every fit takes as long as there are trials."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.calibration_trials.N_TARGET", 800)
        patch.setattr("training.calibration_trials.N_NON_TARGET", 2_000)
        yield


@pytest.fixture(scope="module")
def result(few_trials: None) -> CalibrationResult:
    return calibrate(ROWS, made_voices.heard(ROWS), None, encoder_id="e")


def test_what_clips_are_worth_is_learnt(result: CalibrationResult) -> None:
    costs = {candidate.features: candidate.cllr_bits for candidate in result.candidates}
    line, chosen = costs[()], costs[tuple(term.feature for term in result.likelihood.calibration.terms)]
    assert line is not None
    assert chosen is not None
    assert chosen < line - 0.02
    assert result.cllr_bits - result.min_cllr_bits < 0.05
    assert result.is_held_out


def test_it_holds_on_fresh_speakers(result: CalibrationResult) -> None:
    rows = made_voices.rows(30, 4)
    fresh = calibrate(rows, made_voices.heard(rows, seed=9), None, encoder_id="e")
    assert abs(fresh.cllr_bits - result.cllr_bits) < 0.08
    by_speech = {kind.trials: kind for kind in fresh.kinds if "against 1" in kind.trials}
    short, long = by_speech["1 against 1, 0 to 1 s"], by_speech["1 against 1, 2 to 5 s"]
    assert short.cllr_bits > long.cllr_bits
    assert "3 against 1, 2 to 5 s" in by_speech


def test_points_are_measured_on_whole_clips(result: CalibrationResult) -> None:
    n = len(ROWS)
    for point in result.operating_points.values():
        assert point.n_target + point.n_non_target == n * (n - 1) // 2
        assert point.measured_on == (
            "16 validation speakers of made, 80 clips, strangers of any gender and age, whole clips, one against one"
        )
    assert result.corpora == ("made",)


def test_the_points_lie_on_the_error_curve(result: CalibrationResult) -> None:
    curve = result.error_curve
    assert curve is not None
    for point in result.operating_points.values():
        assert curve.holds(point)
        assert (curve.n_target, curve.n_non_target) == (point.n_target, point.n_non_target)
        assert curve.measured_on == point.measured_on


def test_folds_hold_speakers_out() -> None:
    speakers = made_voices.speaker_numbers(ROWS)
    sets = calibration_trials(made_voices.heard(ROWS), speakers, np.zeros_like(speakers))
    plain = [scored(each, None) for each in sets]
    found = held_out_llrs(plain, (), 0.5)
    assert [each.name for each, _ in found] == [each.name for each in plain]
    for (held, llrs), whole in zip(found, plain, strict=True):
        assert len(llrs) == len(held.labels) < len(whole.labels)
        assert held.labels.sum() == whole.labels.sum(), "a target trial is between speakers of one fold"
    by_hand = np.average(
        [cllr_bits(llrs, held.labels) for held, llrs in found], weights=[held.weight for held, _ in found]
    )
    assert mean_cllr(found) == pytest.approx(float(by_hand))


def test_with_too_few_speakers_the_plain_line_is_taken_and_nothing_claimed() -> None:
    rows = made_voices.rows(3, 5)
    found = calibrate(rows, made_voices.heard(rows), None, encoder_id="e")
    assert found.likelihood.calibration.terms == ()
    assert not found.is_held_out
    assert {candidate.cllr_bits for candidate in found.candidates} == {None}


def test_the_simplest_of_the_good_is_taken() -> None:
    near, far = 0.3 + 0.9 * TOLERANCE_BITS, 0.3 + 1.1 * TOLERANCE_BITS
    costs = [far, near, 0.3, 0.31]
    rated = [Candidate(features, cost) for features, cost in zip(FEATURE_SETS, costs, strict=True)]
    assert best_of(rated) is rated[1]
    unrated = [Candidate(features, None) for features in FEATURE_SETS]
    assert best_of(unrated).features == ()


def test_nothing_to_compare_is_said() -> None:
    for rows, n_target in ((made_voices.rows(1, 3), 3), (made_voices.rows(3, 1), 0)):
        with pytest.raises(
            InvalidArgument, match=f"needs two speakers with two clips at least; .* give {n_target} target"
        ):
            calibrate(rows, made_voices.heard(rows), None, encoder_id="e")


# --- the cohort ---------------------------------------------------------------------------------------------------


def crowded(rows: list, seed: int = 1) -> dict:
    """Some recordings sound like everybody else's: what AS-norm is there to see."""
    heard = made_voices.heard(rows, seed, spread=0.9)
    rng = np.random.default_rng(seed)
    common = np.ones(made_voices.N_EMBEDDING, dtype=np.float32) / np.sqrt(made_voices.N_EMBEDDING)
    for name, clips in heard.items():
        pull = rng.uniform(0.0, 1.8, len(clips))[:, None].astype(np.float32)
        moved = clips.embeddings + pull * common
        heard[name] = replace(clips, embeddings=moved / np.linalg.norm(moved, axis=1, keepdims=True))
    return heard


def voices(pull: float, n: int = 120) -> Voices:
    common = np.ones(made_voices.N_EMBEDDING) / np.sqrt(made_voices.N_EMBEDDING)
    embeddings = random_embeddings(5, n, made_voices.N_EMBEDDING) + pull * common
    unit = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)
    return Voices(unit, np.array(["elsewhere"] * n))


def test_a_cohort_is_used_where_it_helps_voices_that_it_does_not_know() -> None:
    found = calibrate(ROWS, crowded(ROWS), voices(0.9), encoder_id="e")
    evidence = found.normalisation
    assert evidence.is_on
    assert evidence.cllr_bits_with is not None
    assert evidence.cllr_bits_without is not None
    assert evidence.cllr_bits_with < evidence.cllr_bits_without - MIN_GAIN_BITS
    assert found.likelihood.cohort == voices(0.9).cohort()


def test_a_cohort_that_does_not_help_does_not_ship() -> None:
    found = calibrate(ROWS, made_voices.heard(ROWS), voices(0.0), encoder_id="e")
    assert not found.normalisation.is_on
    assert found.likelihood.cohort is None
    assert found.normalisation.cllr_bits_with is not None


def test_a_cohort_of_the_same_corpus_proves_nothing() -> None:
    same = Voices(voices(0.9).embeddings, np.array(["made"] * 120))
    found = calibrate(ROWS, crowded(ROWS), same, encoder_id="e")
    assert not found.normalisation.is_on
    assert found.normalisation.reason == "there are not 50 training speakers of other corpora than made to judge it by"


# --- files --------------------------------------------------------------------------------------------------------

COHORT = Cohort(random_embeddings(3, 12, 8).astype(np.float16).astype(np.float32), 4)
NORMALISED = LikelihoodModel(
    Calibration(3.0, -1.0, 0.5, (Term("speech", 2.0, -0.5), Term("clips", 0.1, 0.0)), Ranges((0.4, 6.0))), COHORT
)


def test_a_calibration_reads_back_as_it_was_written(result: CalibrationResult, tmp_path: Path) -> None:
    assert result.error_curve is not None
    for number, each in enumerate((result, calibration_result("e", POINTS, NORMALISED))):
        path = tmp_path / str(number) / "c.json"
        save_calibration(each, path)
        assert load_calibration(path) == each
        assert load_calibration(path).calibration_id == each.calibration_id


def test_a_calibration_of_an_earlier_version_has_no_error_curve(tmp_path: Path) -> None:
    save_calibration(calibration_result("e", POINTS, error_curve=CURVE), tmp_path / "c.json")
    table = json.loads((tmp_path / "c.json").read_text())
    del table["error_curve"]
    (tmp_path / "c.json").write_text(json.dumps(table))
    assert load_calibration(tmp_path / "c.json") == calibration_result("e", POINTS)


def test_a_calibration_without_its_cohort_is_refused(tmp_path: Path) -> None:
    save_calibration(calibration_result("e", POINTS, NORMALISED), tmp_path / "c.json")
    np.save(tmp_path / "c-cohort.npy", -np.load(tmp_path / "c-cohort.npy"))
    with pytest.raises(InvalidArgument, match="was altered since"):
        load_calibration(tmp_path / "c.json")
    (tmp_path / "c-cohort.npy").unlink()
    with pytest.raises(InvalidArgument, match="not a calibration made by"):
        load_calibration(tmp_path / "c.json")


def test_an_altered_calibration_is_refused(tmp_path: Path) -> None:
    save_calibration(calibration_result("e", POINTS), tmp_path / "c.json")
    table = json.loads((tmp_path / "c.json").read_text())
    table["calibration"]["intercept"] += 0.1
    (tmp_path / "c.json").write_text(json.dumps(table))
    with pytest.raises(InvalidArgument, match="was altered since"):
        load_calibration(tmp_path / "c.json")


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"operating_points": {"eer": 3}}', '{"calibration_id": "x"}'])
def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InvalidArgument, match="not a calibration made by"):
        load_calibration(tmp_path / "c.json")


# --- a bundle, calibrated again ----------------------------------------------------------------------------------------


def test_a_recalibrated_bundle_has_the_same_encoder_and_another_calibration(tmp_path: Path) -> None:
    before = load_bundle(write_tiny_bundle(tmp_path / "before"))
    normalised = calibration_result(before.encoder_id, POINTS, NORMALISED, CURVE)
    after = load_bundle(recalibrate(before.path, normalised, tmp_path / "after"))
    assert after.encoder_id == before.encoder_id
    assert after.calibration_id == normalised.calibration_id != before.calibration_id
    assert after.likelihood == NORMALISED
    assert after.error_curve == CURVE
    assert (after.path / "encoder.ts").read_bytes() == (before.path / "encoder.ts").read_bytes()
    assert after.card["limits"] == before.card["limits"]
    assert after.card["calibration_data"]["fitted_on"] == "a test's speakers"
    in_place = load_bundle(recalibrate(after.path, calibration_result(before.encoder_id, POINTS), after.path))
    assert in_place.likelihood.cohort is None
    assert in_place.error_curve is None
    assert not (after.path / "cohort.npy").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "before"]


def test_a_calibration_of_another_encoder_changes_no_bundle(tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    sealed = (bundle / "bundle.json").read_bytes()
    with pytest.raises(InvalidArgument, match=r"was fitted to encoder 0123, and .* holds"):
        recalibrate(bundle, calibration_result("0123", POINTS), bundle)
    assert (bundle / "bundle.json").read_bytes() == sealed
