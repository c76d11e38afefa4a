"""Do several processes train what one does, and in what time?

    python bench/training_processes.py --data runs/data [--recipe plain] [--steps 60] [--processes 2] [--rounds 3] [--json] [--no-record]

One run by one process with every core, and the same by several under torchrun that share the cores, by turns, on the CPU. Printed: the
largest difference in a weight or statistic, as a share of its tensor's largest value, the cosine between both encoders' embeddings of the
held-out clips, and the ratio of the step times (below 1: the processes are faster). A step's time is the median over the run's last
three quarters, after features were computed and caches filled.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from record import add_arguments, finish
from running import ROOT

from model.encoder import SiameseEncoder
from training.checkpoint import load_checkpoint
from training.dataset import read_prepared
from training.feature_store import open_features
from training.recipe import load_recipe
from training.validation import embed_features

IDLE = ("embedding.bias", "pooling.weight.bias", "embedding_norm.running_mean")
"""Biases that a batch norm or a softmax takes out again, and what follows them: rounding alone moves them."""
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@dataclass(frozen=True)
class Run:
    step_s: float
    losses: list[float]
    encoder: dict[str, torch.Tensor]


def train(arguments: argparse.Namespace, n_processes: int, out: Path) -> Run:
    n_threads = max(1, (os.cpu_count() or 1) // n_processes)
    launcher = [*TORCHRUN, str(n_processes)] if n_processes > 1 else [sys.executable]
    what = ["--recipe", arguments.recipe, "--data", str(arguments.data), "--out", str(out)]
    how = ["--steps", str(arguments.steps), "--device", "cpu", "--threads", str(n_threads)]
    subprocess.run(  # nosec B603 # our own command
        [*launcher, "-m", "training.cli", "train", *what, *how],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": str(n_threads), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    with (out / "log.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["loss"]]
    times_s = [float(row["elapsed_s"]) for row in rows][len(rows) // 4 :]
    losses = [float(row["loss"]) for row in rows]
    return Run(statistics.median(b - a for a, b in pairwise(times_s)), losses, load_checkpoint(out / "last.pt").encoder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="what `vouch-train prepare` wrote")
    parser.add_argument("--recipe", default="plain")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    add_arguments(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rounds = [
            [train(arguments, n, Path(folder) / f"{number}-{n}") for n in (1, arguments.processes)]
            for number in range(arguments.rounds)
        ]
    ratios = sorted(several.step_s / one.step_s for one, several in rounds)
    one, several = rounds[0]
    apart = {
        name: float((value - several.encoder[name]).abs().max() / value.abs().max().clamp(min=1e-6))
        for name, value in one.encoder.items()
    }
    cosines = cosines_of_held_out(arguments, one, several)
    figures = {
        "processes": arguments.processes,
        "steps": arguments.steps,
        "weights_apart": max(value for name, value in apart.items() if not name.endswith(IDLE)),
        "idle_apart": max(value for name, value in apart.items() if name.endswith(IDLE)),
        "loss_apart": max(abs(a - b) / abs(a) for a, b in zip(one.losses, several.losses, strict=True)),
        "least_cosine": float(cosines.min()),
        "one_step_s": statistics.median(one.step_s for one, _ in rounds),
        "several_step_s": statistics.median(several.step_s for _, several in rounds),
        "step_ratio": statistics.median(ratios),
    }
    notes = (
        f"{arguments.steps} steps of recipe {arguments.recipe} by 1 and by {arguments.processes} processes: weights at most "
        f"{figures['weights_apart']:.1e} of their tensor's largest apart (idle biases {figures['idle_apart']:.1e}), losses "
        f"{figures['loss_apart']:.1e}, {len(cosines)} held-out clips embedded alike to a cosine of {figures['least_cosine']:.6f} at least. A step "
        f"took {1e3 * figures['one_step_s']:.0f} and {1e3 * figures['several_step_s']:.0f} ms, ratio {figures['step_ratio']:.2f} "
        f"(rounds {', '.join(f'{ratio:.2f}' for ratio in ratios)})."
    )
    print(notes, flush=True)
    finish(arguments, figures, notes)


def cosines_of_held_out(arguments: argparse.Namespace, one: Run, several: Run) -> torch.Tensor:
    """(n_clips,) between the two runs' embeddings of each validation clip."""
    recipe = load_recipe(arguments.recipe)
    rows = read_prepared(arguments.data / "utterances.csv", "validation")
    features = open_features(rows, recipe.encoder.n_mels, arguments.data)
    embeddings = []
    for run in (one, several):
        encoder = SiameseEncoder(recipe.encoder)
        encoder.load_state_dict(run.encoder)
        embeddings.append(embed_features(encoder, features))
    return torch.nn.functional.cosine_similarity(*embeddings, dim=1)


if __name__ == "__main__":
    main()
