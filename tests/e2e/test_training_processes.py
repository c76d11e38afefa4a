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
from made_corpora import clip
from training.checkpoint import load_checkpoint
from training.prepare import prepare
from training.shard import shard

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
VOUCH_TRAIN = [sys.executable, "-c", "from training.cli import main; main()"]
TRAIN = [*VOUCH_TRAIN, "train"]
IDLE = ("embedding.bias", "pooling.weight.bias", "embedding_norm.running_mean")
"""Biases that a batch norm or a softmax takes out again: their gradient is rounding alone, which Adam scales up, and the
running mean follows the first."""
TOLERANCE = 1e-5
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


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, torch.Tensor]:
    """The weights that one process ends at when nothing stops it."""
    run([*TRAIN, *arguments(folder, "whole")])
    return weights(folder, "whole")


def started(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_step(process: subprocess.Popen[bytes], log: Path, step: int) -> None:
    deadline = time.monotonic() + 120
    while n_steps_logged(log) < step and time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)  # another process: there is nothing to wait on but its log


def test_a_killed_run_goes_on_to_the_same_weights(folder: Path, whole: dict[str, torch.Tensor]) -> None:
    kill_at = int(np.random.default_rng(os.getpid()).integers(2, 30))
    process = started([*TRAIN, *arguments(folder, "killed")])
    wait_for_step(process, folder / "killed" / "log.csv", kill_at)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    run([*TRAIN, *arguments(folder, "killed")])
    killed = weights(folder, "killed")
    assert whole.keys() == killed.keys()
    assert all(torch.equal(whole[name], killed[name]) for name in whole), f"killed at step {kill_at}"


def require_alike(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    apart = {name: float((found[name] - expected[name]).abs().max()) for name in expected}
    assert {name: by for name, by in apart.items() if not name.endswith(IDLE) and by > TOLERANCE} == {}


def test_two_processes_train_what_one_does(folder: Path, whole: dict[str, torch.Tensor]) -> None:
    run([*TORCHRUN, *TRAIN, *arguments(folder, "two")])
    require_alike(weights(folder, "two"), whole)
    of_two, of_one = (losses(folder, name) for name in ("two", "whole"))
    assert len(of_two) == 32  # one process logs
    assert of_two == pytest.approx(of_one, rel=1e-4)


def test_when_one_process_dies_all_end_and_another_number_goes_on(folder: Path, whole: dict[str, torch.Tensor]) -> None:
    # torchrun takes two dollars for one.
    by_rank = ["bash", "-c", f'echo $$$$ > "{folder}/pid-$RANK"; exec "$@"', "bash"]
    process = started([*TORCHRUN, *by_rank, *TRAIN, *arguments(folder, "bereft")])
    wait_for_step(process, folder / "bereft" / "log.csv", 5)
    os.kill(int((folder / "pid-1").read_text()), signal.SIGKILL)
    assert process.wait(timeout=60) != 0
    assert 5 <= load_checkpoint(folder / "bereft" / "last.pt").step < 32
    run([*TRAIN, *arguments(folder, "bereft")])
    require_alike(weights(folder, "bereft"), whole)


def test_processes_that_were_told_different_things_do_not_train(folder: Path, tmp_path: Path) -> None:
    for rank, noise in enumerate(("0.5", "0.6")):  # each process has a folder of its own, as on a machine of its own
        (tmp_path / str(rank)).mkdir()
        (tmp_path / str(rank) / "small.toml").write_text(RECIPE.replace("noise = 0.5", f"noise = {noise}"))
    by_rank = ["bash", "-c", 'exec "$@" --recipe "$0/$RANK/small.toml"', str(tmp_path)]
    command = [*TORCHRUN, *by_rank, *TRAIN, *arguments(folder, "refused")]
    result = subprocess.run(
        command, cwd=ROOT, env=environment(), check=False, capture_output=True, text=True, timeout=240
    )
    assert result.returncode != 0
    assert "error: process 1 has another recipe, or in" in " ".join(result.stderr.split())


def test_two_processes_prepare_what_one_does(folder: Path, tmp_path: Path) -> None:
    shard([f"manifest:{folder}"], tmp_path / "shards", clips_per_shard=5)
    sources = [f"shards:{tmp_path / 'shards'}", f"folder:{clip(tmp_path / 'more' / 'ann' / '1.wav').parents[1]}"]
    prepare(sources, tmp_path / "by-one")
    run([*TORCHRUN, *VOUCH_TRAIN, "prepare", *sources, "--out", str(tmp_path / "by-two")])
    for name in ("utterances.csv", "prepare-report.json"):
        assert (tmp_path / "by-two" / name).read_bytes() == (tmp_path / "by-one" / name).read_bytes()


def losses(folder: Path, run: str) -> list[float]:
    with (folder / run / "log.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
