"""bench/accuracy.py on made voices: what it prints is what the lab measures."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import shipped
import voicemaking
from model.bundle import load_bundle
from training.encoders import open_encoder
from training.heard import hear_whole
from training.metrics import cllr_bits, eer, error_curve, min_cllr_bits
from training.trial_scores import score_trials, trial_llrs
from training.trials import read_trials

SCRIPT = shipped.ROOT / "bench" / "accuracy.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench")
    voicemaking.write_corpus(folder, n_speakers=4, n_clips=3, duration_s=3.1)
    (folder / "trials").mkdir()
    voicemaking.write_trials(folder, speakers=[0, 1, 2, 3], n_clips=3).rename(folder / "trials" / "made-test.txt")
    return folder


def test_the_last_line_has_every_figure(data: Path) -> None:
    if importlib.util.find_spec("resemblyzer") is None:
        pytest.skip("needs the package resemblyzer, which `make install-dev` installs")
    command = [sys.executable, str(SCRIPT), "--data", str(data), "--repetitions", "2", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(shipped.ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {"eer", "cllr_gap_bits", "dcf_gap", "cpu_over_resemblyzer"}
    assert set(found["eer"]) == {"default", "resemblyzer", "untrained"}
    assert all(0 <= rates["made-test"] <= 1 for rates in found["eer"].values())
    assert 0.05 < found["cpu_over_resemblyzer"] < 5
    assert found["dcf_gap"]["made-test"] >= 0

    trials = read_trials(data / "trials" / "made-test.txt", data)
    heard = hear_whole(open_encoder(shipped.BUNDLE).module, trials.paths, "made")
    scores = score_trials(trials, heard.embeddings, "cosine")
    llrs = trial_llrs(trials, heard, load_bundle(shipped.BUNDLE).likelihood)
    assert found["eer"]["default"]["made-test"] == pytest.approx(eer(error_curve(scores, trials.labels))[0])
    gap = cllr_bits(llrs, trials.labels) - min_cllr_bits(llrs, trials.labels)
    assert found["cllr_gap_bits"]["made-test"] == pytest.approx(gap, abs=1e-6)


def test_without_lists_it_says_where_it_looked(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(shipped.ROOT)}
    command = [sys.executable, str(SCRIPT), "--data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "there are no trial lists at" in done.stderr


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("accuracy", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["accuracy"] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def test_the_actual_cost_of_a_hand_worked_list(bench: ModuleType) -> None:
    labels = np.array([True, True, True, True, False, False, False, False, False])
    # ln(0.95 / 0.05) = 2.94 is where acceptance begins: one target of four is lost, one non-target of five let in.
    llrs = np.array([9.0, 5.0, 3.0, 2.9, 3.5, 2.9, 0.0, -1.0, -5.0])
    assert bench.act_dcf(llrs, labels, 0.05) == pytest.approx(0.25 + 0.95 / 0.05 * 0.2)


def test_one_clip_a_folder_is_timed_and_only_those_long_enough(bench: ModuleType, data: Path) -> None:
    paths = sorted(data.glob("s*/*.wav"))
    assert [len(clip) for clip in bench.timed_clips(paths)] == [48_000] * 4
