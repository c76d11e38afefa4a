"""Training as a process: killed at any moment, and as several processes under torchrun."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import voicemaking
from training.checkpoint import load_checkpoint
from training.prepare import prepare

ROOT = Path(__file__).resolve().parents[2]
RECIPE = """
epochs = 8
steps_per_epoch = 4
validate_every = 4
validation_clips = 2
[data]
voices = [{speed = 1.0}, {formants = 1.15}]
[render]
n_versions = 2
n_rooms = 2
[encoder]
n_mels = 20
channels = [4, 4]
strides_mel = [2, 2]
strides_time = [2, 2]
residual = [0, 1]
n_hidden = 6
n_embedding = 8
[sampling]
batch_size = 4
crop_s = [0.4, 0.6]
[augment]
noise = 0.5
ramp_steps = 3
[finetune]
start = 0.8
crop_s = [0.6, 0.8]
[optimiser]
kind = "adamw"
schedule = "one_cycle"
average_decay = 0.9
"""
TRAIN = [sys.executable, "-c", "from training.cli import main; main()", "train"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("processes")
    voicemaking.write_corpus(path, n_speakers=8, n_clips=3, duration_s=1.0)
    prepare([f"manifest:{path}"], path / "data")
    (path / "small.toml").write_text(RECIPE)
    return path


def arguments(folder: Path, run: str) -> list[str]:
    where = ["--data", str(folder / "data"), "--recipe", str(folder / "small.toml"), "--out", str(folder / run)]
    return [*where, "--device", "cpu", "--threads", "1", "--checkpoint-every-s", "0"]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}


def run(command: list[str]) -> None:
    subprocess.run(command, cwd=ROOT, env=environment(), check=True, capture_output=True, timeout=240)


def weights(folder: Path, run: str) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(folder / run / "last.pt")
    assert checkpoint.step == 32
    return checkpoint.encoder | {f"average.{name}": value for name, value in (checkpoint.average or {}).items()}


def n_steps_logged(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open(newline="") as file:
        return len(list(csv.DictReader(file)))


def test_a_killed_run_goes_on_to_the_same_weights(folder: Path) -> None:
    run([*TRAIN, *arguments(folder, "whole")])
    kill_at = int(np.random.default_rng(os.getpid()).integers(2, 30))
    process = subprocess.Popen(
        [*TRAIN, *arguments(folder, "killed")], cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while n_steps_logged(folder / "killed" / "log.csv") < kill_at and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)  # another process: there is nothing to wait on but its log
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    run([*TRAIN, *arguments(folder, "killed")])
    whole, killed = weights(folder, "whole"), weights(folder, "killed")
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole), f"killed at step {kill_at}"


def test_two_processes_train_one_encoder(folder: Path) -> None:
    run([*TORCHRUN, *TRAIN, *arguments(folder, "two"), "--steps", "10"])
    run([*TORCHRUN, *TRAIN, *arguments(folder, "two")])
    run([*TORCHRUN, *TRAIN, *arguments(folder, "two-whole")])
    stopped, whole = weights(folder, "two"), weights(folder, "two-whole")
    assert all(torch.equal(stopped[name], whole[name]) for name in whole)
    # The first process draws what a lone one would, and so begins at its loss; what the other one drew moves the weights.
    run([*TRAIN, *arguments(folder, "alone")])
    first, alone = (losses(folder, name) for name in ("two-whole", "alone"))
    assert len(first) == 32  # one process logs
    assert first[0] == pytest.approx(alone[0], rel=1e-5)
    assert not all(torch.equal(whole[name], value) for name, value in weights(folder, "alone").items())


def losses(folder: Path, run: str) -> list[float]:
    with (folder / run / "log.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
