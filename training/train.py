"""The straight path: recipe -> data -> model -> optimiser -> loop. Read it top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import nn

from model.encoder import SiameseEncoder
from model.errors import InvalidArgument
from model.features import FRAMES_PER_S
from training.augment.mel import augment
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.dataset import PreparedUtterance, open_features, read_prepared, rows_sha256
from training.losses import EmbeddedBatch, make_objective
from training.recipe import OptimiserConfig, Recipe
from training.runlog import RunLog
from training.sampling import Batch, CropSampler
from training.validation import validate

CHECKPOINT_EVERY_S = 120.0
AUGMENTATION_STREAM = 1
"""Apart from the sampler's own stream, so that who is in a batch says nothing about what happens to the crops."""


def train(recipe: Recipe, data: Path, out: Path, *, max_steps: int | None = None, resume: bool = True) -> Path:
    """Trains by the recipe on a prepared data set; returns the path of the last checkpoint.

    `data` is the folder that `prepare` wrote, `out` takes checkpoints, log.csv, TensorBoard events and curves. A run
    that was stopped goes on from its last checkpoint to the same weights that it would have reached unstopped.
    `max_steps` ends the run early, on the full run's schedule. Raises InvalidArgument where `out` holds another
    recipe's run or one on other clips, or where there are fewer than two training speakers.
    """
    torch.manual_seed(recipe.seed)

    # Data
    rows = read_prepared(data / "utterances.csv")
    train_rows = [row for row in rows if row.utterance.split == "train"]
    validation_rows = _first_clips([r for r in rows if r.utterance.split == "validation"], recipe.validation_clips)
    n_speakers = len({row.utterance.speaker for row in train_rows})
    if n_speakers < 2:
        raise InvalidArgument(f"{data} has {n_speakers} training speakers; training needs at least 2")
    features = open_features(train_rows, recipe.data.speeds, recipe.encoder.n_mels, data)
    heldout = open_features(validation_rows, (1.0,), recipe.encoder.n_mels, data) if validation_rows else None
    sampler = CropSampler(features, recipe.seed)

    # Model and optimiser
    encoder = SiameseEncoder(recipe.encoder)
    encoder.blocks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from torch's stub
    objective = make_objective(recipe.loss, len(features.classes), recipe.encoder.n_embedding)
    n_steps = recipe.epochs * recipe.steps_per_epoch
    optimiser, scheduler = make_optimiser(recipe.optimiser, [encoder, objective], recipe, n_steps)

    # Where an earlier run stopped
    last = out / "last.pt"
    step, elapsed_s = 0, 0.0
    if resume and last.is_file():
        checkpoint = load_checkpoint(last)
        if checkpoint.recipe != recipe:
            raise InvalidArgument(
                f"{out} holds a run of another recipe ({checkpoint.recipe.name}); choose another folder"
            )
        if checkpoint.training_data["sha256"] != rows_sha256(train_rows):
            raise InvalidArgument(
                f"{out} holds a run on other training clips than those of {data}: going on would mix up its speakers. "
                "Choose another folder"
            )
        encoder.load_state_dict(checkpoint.encoder)
        objective.load_state_dict(checkpoint.objective)
        optimiser.load_state_dict(checkpoint.optimiser)
        scheduler.load_state_dict(checkpoint.scheduler)
        step, elapsed_s = checkpoint.step, checkpoint.elapsed_s

    def save(path: Path) -> None:
        state = (encoder.state_dict(), objective.state_dict(), optimiser.state_dict(), scheduler.state_dict())
        save_checkpoint(Checkpoint(recipe, step, *state, describe(train_rows), elapsed_s + timer()), path)

    # Loop
    stop = n_steps if max_steps is None else min(n_steps, max_steps)
    timer = _timer()
    saved_at_s = 0.0
    with RunLog(out, step) as log, _progress() as progress:
        bar = progress.add_task(recipe.name, total=n_steps, completed=step, status="")
        while step < stop:
            encoder.train()
            batch = draw(recipe, sampler, step)
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                lengths = torch.full((len(batch.labels),), batch.log_mels.size(2))
                embeddings = encoder(batch.log_mels, lengths)
            result = objective(EmbeddedBatch(encoder, embeddings.float(), batch.labels, step / n_steps))
            optimiser.zero_grad()
            result.loss.backward()
            nn.utils.clip_grad_norm_(encoder.parameters(), recipe.optimiser.clip_norm)
            learning_rate = optimiser.param_groups[0]["lr"]
            optimiser.step()
            scheduler.step()
            step += 1
            loss = result.loss.item()
            log.step(step, loss, result.accuracy, learning_rate, elapsed_s + timer())
            progress.update(bar, completed=step, status=f"loss {loss:.3f} accuracy {result.accuracy:.3f}")
            if step % (recipe.steps_per_epoch * recipe.validate_every) == 0 or step == n_steps:
                log.validation(step, validate(encoder, heldout) if heldout else None, elapsed_s + timer())
                log.draw_curves()
            if timer() - saved_at_s > CHECKPOINT_EVERY_S:
                save(last)
                saved_at_s = timer()
        save(last)
        log.draw_curves()
    return last


def draw(recipe: Recipe, sampler: CropSampler, step: int) -> Batch:
    """The batch of a step: crops of one random length, augmented; a function of the recipe's seed and the step."""
    rng = np.random.default_rng([recipe.seed, step, AUGMENTATION_STREAM])
    n_frames = round(rng.uniform(*recipe.sampling.crop_s) * FRAMES_PER_S)
    take = sampler.pairs if recipe.sampling.kind == "pairs" else sampler.speakers
    batch = take(step, recipe.sampling.batch_size, n_frames)
    strength = min(1.0, step / recipe.augment.ramp_steps) if recipe.augment.ramp_steps else 1.0
    return Batch(augment(batch.log_mels, recipe.augment, rng, strength), batch.labels)


def make_optimiser(
    config: OptimiserConfig, modules: Sequence[nn.Module], recipe: Recipe, n_steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    parameters = [p for module in modules for p in module.parameters()]
    make = torch.optim.Adam if config.kind == "adam" else torch.optim.AdamW
    optimiser = make(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
    if config.schedule == "step":
        step_size = config.step_epochs * recipe.steps_per_epoch
        return optimiser, torch.optim.lr_scheduler.StepLR(optimiser, step_size, config.gamma)
    return optimiser, torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.learning_rate, total_steps=n_steps + 1, pct_start=config.warm_up, cycle_momentum=False
    )


def describe(rows: Sequence[PreparedUtterance]) -> dict[str, Any]:
    """Corpora, speakers, clips and hours, for the card; the hash tells one training set from another."""
    corpora = sorted({row.utterance.corpus for row in rows})
    return {
        "corpora": corpora,
        "n_speakers": len({row.utterance.speaker for row in rows}),
        "n_clips": len(rows),
        "hours": round(sum(row.duration_s for row in rows) / 3600, 2),
        "sha256": rows_sha256(rows),
    }


def _first_clips(rows: Sequence[PreparedUtterance], n_clips: int) -> list[PreparedUtterance]:
    count: dict[str, int] = {}
    chosen = []
    for row in rows:
        count[row.utterance.speaker] = count.get(row.utterance.speaker, 0) + 1
        if count[row.utterance.speaker] <= n_clips:
            chosen.append(row)
    return chosen


def _timer() -> Any:
    start = time.monotonic()
    return lambda: time.monotonic() - start


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[status]}"))
