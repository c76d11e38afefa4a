"""Does training keep the device busy? A step with real data and augmentation, against the same step on tensors in memory.

    python bench/training_step.py --data runs/data [--recipe default] [--device auto] [--steps 30] [--threads 0] [--json]

Both run the recipe's own batches, by the training's own functions, forward, backward and optimiser: once drawn and
augmented as training draws them, once drawn before the clock starts. They alternate in blocks, and the ratio of the
medians is printed: 1 means that drawing costs nothing. `--json` prints one line, last, with the figures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from rich.console import Console

from model.encoder import SiameseEncoder
from training.crop_sources import open_crop_source
from training.dataset import at_most, read_prepared
from training.devices import take_place
from training.distill import open_teacher, teacher_targets
from training.drawing import draw
from training.prefetch import prefetched
from training.recipe import load_recipe
from training.sampling import Batch, CropSampler
from training.schedule import settings_at
from training.train import make_optimiser, make_training_step, targets_of

N_BLOCKS = 5
FIRST_STEP = 5_000
"""Past every ramp: augmentation at its full strength."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="what `vouch-train prepare` wrote")
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--steps", type=int, default=30, help="steps in each block")
    parser.add_argument("--draw-threads", type=int, default=2)
    parser.add_argument("--threads", type=int, default=0, help="PyTorch's threads; 0 lets it choose")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    recipe = load_recipe(arguments.recipe)
    split = read_prepared(arguments.data / "utterances.csv", "train")
    rows = at_most(split, recipe.data.max_clips_per_speaker)
    source = open_crop_source(recipe, rows, arguments.data)
    teacher = open_teacher(recipe.distill.teacher) if recipe.distill.teacher else None
    targets = teacher_targets(teacher, rows, recipe.data.voices, arguments.data) if teacher else None
    sampler = CropSampler(source, recipe.seed)
    with take_place(arguments.device) as place:
        torch.manual_seed(recipe.seed)
        module = make_training_step(recipe, SiameseEncoder(recipe.encoder), len(source.classes), targets).to(
            place.device
        )
        module.encoder.to(memory_format=torch.channels_last)
        optimiser, _ = make_optimiser(recipe.optimiser, [module], recipe, recipe.n_steps)

        def step_time_s(batches: Iterable[Batch], n_steps: int) -> float:
            start = time.perf_counter()
            for batch in batches:
                log_mels, labels = batch.log_mels.to(place.device), batch.labels.to(place.device)
                at = settings_at(recipe, min(FIRST_STEP, recipe.n_steps - 1))
                loss, _ = module(log_mels, labels, targets_of(batch, targets, place), at)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                loss.item()
            return (time.perf_counter() - start) / n_steps

        times: dict[str, list[float]] = {"drawn": [], "in_memory": []}
        for block in range(N_BLOCKS + 1):
            first = FIRST_STEP + block * arguments.steps
            steps = range(first, first + arguments.steps)
            kept = [draw(recipe, sampler, step) for step in steps]
            in_memory = step_time_s(kept, len(steps))
            with prefetched(lambda step: draw(recipe, sampler, step), steps, arguments.draw_threads) as batches:
                drawn = step_time_s(batches, len(steps))
            if block:  # the first one warms up
                times["in_memory"].append(in_memory)
                times["drawn"].append(drawn)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = sorted(a / b for a, b in zip(times["drawn"], times["in_memory"], strict=True))
    figures = {
        "device": str(place.device),
        "threads": torch.get_num_threads(),
        "crops": recipe.sampling.batch_size * recipe.sampling.clips_per_speaker,
        "drawn_s": medians["drawn"],
        "in_memory_s": medians["in_memory"],
        "ratio": statistics.median(ratios),
        "ratio_range": [ratios[0], ratios[-1]],
    }
    Console().print(
        f"{figures['device']}, {figures['threads']} threads, {figures['crops']} crops a step: {1e3 * medians['drawn']:.0f} ms "
        f"with drawing and augmentation, {1e3 * medians['in_memory']:.0f} ms on tensors in memory; ratio "
        f"{figures['ratio']:.3f} (blocks {ratios[0]:.3f} to {ratios[-1]:.3f})"
    )
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
