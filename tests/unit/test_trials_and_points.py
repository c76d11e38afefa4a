from pathlib import Path

import numpy as np
import pytest
import torch

from training.bootstrap import bootstrap_interval, speaker_weights
from training.corpora.utterance import CorpusError
from training.encoders import OpenedEncoder
from training.measured_list import Contender, evaluate_scores
from training.metrics import rates_at
from training.operating_points import operating_points
from training.scorers import UNCALIBRATED
from training.trials import Trials, all_pairs, read_trials


def made_trials(n_speakers: int, n_clips: int, spread: float, seed: int = 1) -> tuple[Trials, np.ndarray]:
    """Clips as points about their speaker's centre; the score of a pair is the negative distance."""
    rng = np.random.default_rng(seed)
    speakers = np.repeat(np.arange(n_speakers), n_clips)
    points = rng.normal(size=(n_speakers, 4))[speakers] + spread * rng.normal(size=(len(speakers), 4))
    trials = all_pairs("made", [str(s) for s in speakers])
    return trials, -np.linalg.norm(points[trials.a] - points[trials.b], axis=1)


def test_operating_points_have_the_rates_they_say() -> None:
    trials, scores = made_trials(60, 6, 0.25)
    points, _ = operating_points(trials, scores, "made speakers")
    assert {"eer", "fmr_1e-2"} <= points.keys()
    for point in points.values():
        assert (point.fmr, point.fnmr) == rates_at(scores, trials.labels, point.llr)
        assert point.fmr_interval[0] <= point.fmr <= point.fmr_interval[1]
        assert (point.n_target, point.measured_on) == (trials.labels.sum(), "made speakers")
    assert points["fmr_1e-2"].fmr <= 0.01
    assert points["eer"].fmr == pytest.approx(points["eer"].fnmr, abs=0.01)


def test_a_point_that_the_data_cannot_support_is_not_written() -> None:
    trials, scores = made_trials(8, 5, 0.25)
    points, unsupported = operating_points(trials, scores, "few")
    assert "fmr_1e-3" not in points
    assert "30000 give 30 false matches" in unsupported["fmr_1e-3"]


def test_speaker_weights_multiply_for_different_speakers_only() -> None:
    trials = all_pairs("t", ["x", "x", "y"])
    weights = speaker_weights(trials, np.array([3.0, 2.0]))
    assert dict(zip(zip(trials.a.tolist(), trials.b.tolist(), strict=True), weights, strict=True)) == {
        (0, 1): 3.0,
        (0, 2): 6.0,
        (1, 2): 6.0,
    }


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(99)
    apart = np.linalg.norm(0.4 * (rng.normal(size=(100_000, 4)) - rng.normal(size=(100_000, 4))), axis=1)
    true_fnmr = float((apart > 1.2).mean())
    covered = 0
    for seed in range(40):
        trials, scores = made_trials(25, 3, 0.4, seed=seed)
        low, high = bootstrap_interval(
            trials,
            lambda counts, t=trials, s=scores: rates_at(s, t.labels, -1.2, speaker_weights(t, counts))[1],
            n_draws=100,
        )
        covered += low <= true_fnmr <= high
    assert covered >= 32


def test_an_evaluation_reports_what_the_trials_are() -> None:
    trials, scores = made_trials(20, 4, 0.3)
    nobody = OpenedEncoder("e", "x", torch.nn.Identity(), None, None)
    result, _ = evaluate_scores(Contender("e", nobody, UNCALIBRATED, {}), trials, scores, "distance")
    assert (result.n_target, result.n_speakers) == (20 * 6, 20)
    assert result.eer_interval[0] <= result.eer <= result.eer_interval[1]
    assert 0 < result.eer < 0.2
    assert "optimistic" in result.accuracy_threshold_from


def write_list(tmp_path: Path, text: str) -> Path:
    for name in ("x/1.wav", "x/2.wav", "y/1.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_text(text)
    return tmp_path / "list.txt"


def test_a_trial_list_is_read_with_its_speakers(tmp_path: Path) -> None:
    trials = read_trials(write_list(tmp_path, "1 x/1.wav x/2.wav\n0 x/1.wav y/1.wav\n\n"), tmp_path)
    assert (trials.name, trials.n_speakers, trials.labels.tolist()) == ("list", 2, [True, False])
    assert trials.paths[trials.b[1]] == tmp_path / "y/1.wav"


def test_speakers_in_one_folder_are_told_apart_by_the_trials(tmp_path: Path) -> None:
    trials = read_trials(write_list(tmp_path, "0 x/1.wav x/2.wav\n1 x/1.wav y/1.wav\n"), tmp_path)
    assert trials.speakers[0] == trials.speakers[2] != trials.speakers[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2 x/1.wav x/2.wav", "line 1: a trial is `label path path`"),
        ("1 x/1.wav", "line 1"),
        ("1 x/1.wav x/9.wav\n0 x/1.wav y/1.wav", "x/9.wav, which is not there"),
        ("", "it has 0 trials"),
        ("1 x/1.wav x/2.wav", "needs target .1. and non-target .0. trials"),
        ("1 x/1.wav x/2.wav\n0 x/2.wav x/1.wav", "trial 2 says two speakers"),
    ],
)
def test_a_wrong_trial_list_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_trials(write_list(tmp_path, text), tmp_path)
