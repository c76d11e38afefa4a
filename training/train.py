"""The straight path: recipe -> data -> model -> optimiser -> loop. Read it top to bottom."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model.encoder import SiameseEncoder
from model.errors import InvalidArgument
from model.scoring import Embedding
from training.checkpoint import Checkpoint, load_checkpoint, load_weights, save_checkpoint
from training.crop_sources import open_crop_source
from training.dataset import PreparedUtterance, at_most, read_prepared, rows_sha256
from training.devices import Place, first_before_others, of_first, take_place, wait_for_all
from training.distill import Distillation, Teacher, open_teacher, teacher_targets
from training.drawing import draw
from training.feature_store import open_features
from training.losses import make_objective
from training.prefetch import prefetched
from training.recipe import OptimiserConfig, Recipe
from training.runlog import RunLog
from training.sampling import Batch, CropSampler
from training.schedule import settings_at
from training.training_step import TrainingStep, average_of
from training.validation import validate
from training.whole_batch import norm_over_all, require_even_shares

CHECKPOINT_EVERY_S = 120.0


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    max_steps: int | None = None,
    resume: bool = True,
    device: str = "auto",
    workers: int = 1,
    draw_threads: int = 2,
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> Path:
    """Trains by the recipe on a prepared data set; returns the path of the last checkpoint.

    `data` is the folder that `prepare` wrote, `out` takes checkpoints, log.csv, TensorBoard events and curves. A run
    that was stopped goes on from its last checkpoint to the same weights that it would have reached unstopped.
    `max_steps` ends the run early, on the full run's schedule; `workers` processes compute what crops are taken
    from, `draw_threads` draw batches ahead. Under torchrun every process takes an equal share of each batch, and they
    train together what one would. Raises InvalidArgument where `out` holds another recipe's run or one on other clips,
    where there are fewer than two training speakers, or where processes cannot share a batch evenly or see different data.
    """
    with take_place(device) as place:
        return _train(recipe, data, out, place, max_steps, resume, workers, draw_threads, checkpoint_every_s)


def _train(
    recipe: Recipe,
    data: Path,
    out: Path,
    place: Place,
    max_steps: int | None,
    resume: bool,
    workers: int,
    draw_threads: int,
    checkpoint_every_s: float,
) -> Path:
    torch.manual_seed(recipe.seed)

    # Data
    rows = read_prepared(data / "utterances.csv")
    split = [row for row in rows if row.utterance.split == "train"]
    train_rows = at_most(split, recipe.data.max_clips_per_speaker)
    validation_rows = _first_clips([r for r in rows if r.utterance.split == "validation"], recipe.validation_clips)
    n_speakers = len({row.utterance.speaker for row in train_rows})
    if n_speakers < 2:
        raise InvalidArgument(f"{data} has {n_speakers} training speakers; training needs at least 2")
    require_even_shares(recipe.sampling.batch_size, place)
    _require_one_run(recipe, split, place, data)
    teacher = open_teacher(recipe.distill.teacher) if recipe.distill.teacher else None
    with first_before_others(place):
        source = open_crop_source(recipe, train_rows, data, workers)
        heldout = open_features(validation_rows, recipe.encoder.n_mels, data) if validation_rows else None
        targets = teacher_targets(teacher, train_rows, recipe.data.voices, data, workers) if teacher else None
    sampler = CropSampler(source, recipe.seed, place.rank, place.n_processes)

    # Model and optimiser
    encoder = SiameseEncoder(recipe.encoder)
    norm_over_all(encoder, place)
    module = make_training_step(recipe, encoder, len(source.classes), targets, place.n_processes).to(place.device)
    encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from torch's stub
    average = average_of(encoder, recipe.optimiser.average_decay) if recipe.optimiser.average_decay else None
    optimiser, scheduler = make_optimiser(recipe.optimiser, [module], recipe, recipe.n_steps)

    # Where an earlier run stopped; `out` may be a folder that only the first process's machine has
    last = out / "last.pt"
    step, elapsed_s = 0, 0.0
    kept = load_checkpoint(last) if place.rank == 0 and resume and last.is_file() else None
    checkpoint = of_first(kept, place)
    if checkpoint is not None:
        _require_same_run(checkpoint, recipe, split, teacher, out, data)
        of_encoder = {f"encoder.{name}": value for name, value in checkpoint.encoder.items()}
        load_weights(module, {**checkpoint.objective, **of_encoder})
        if average is not None and checkpoint.average is not None:
            average.module.load_state_dict(checkpoint.average)
            average.n_averaged.fill_(checkpoint.step)
        optimiser.load_state_dict(checkpoint.optimiser)
        scheduler.load_state_dict(checkpoint.scheduler)
        step, elapsed_s = checkpoint.step, checkpoint.elapsed_s

    def save() -> None:
        averaged = average.module.state_dict() if average is not None else None
        rest = {name: value for name, value in module.state_dict().items() if not name.startswith("encoder.")}
        state = (encoder.state_dict(), averaged, rest, optimiser.state_dict(), scheduler.state_dict())
        about = (describe(train_rows, split), teacher.describe() if teacher else None, elapsed_s + timer())
        save_checkpoint(Checkpoint(recipe, step, *state, *about), last)

    # Loop
    stop = recipe.n_steps if max_steps is None else min(recipe.n_steps, max_steps)
    # Buffers are statistics of the whole batch, and the same everywhere.
    distributed = DistributedDataParallel(module, broadcast_buffers=False) if place.n_processes > 1 else module
    timer = _timer()
    saved_at_s = 0.0
    writes = place.rank == 0
    with (
        RunLog(out if writes else None, step) as log,
        _progress(disable=not writes) as progress,
        prefetched(lambda at: draw(recipe, sampler, at), range(step, stop), draw_threads) as batches,
    ):
        bar = progress.add_task(recipe.name, total=recipe.n_steps, completed=step, status="")
        for batch in batches:
            module.train()
            log_mels, labels = batch.log_mels.to(place.device), batch.labels.to(place.device)
            loss, accuracy = distributed(log_mels, labels, targets_of(batch, targets, place), settings_at(recipe, step))
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(encoder.parameters(), recipe.optimiser.clip_norm)
            learning_rate = optimiser.param_groups[0]["lr"]
            optimiser.step()
            scheduler.step()
            if average is not None:
                average.update_parameters(encoder)
            step += 1
            if not writes:
                continue
            log.step(step, loss.item(), accuracy.item(), learning_rate, elapsed_s + timer())
            progress.update(bar, completed=step, status=f"loss {loss.item():.3f} accuracy {accuracy.item():.3f}")
            if step % (recipe.steps_per_epoch * recipe.validate_every) == 0 or step == recipe.n_steps:
                judged = average.module if average is not None else encoder
                assert isinstance(judged, SiameseEncoder)
                log.validation(step, validate(judged, heldout) if heldout else None, elapsed_s + timer())
                log.draw_curves()
            if timer() - saved_at_s >= checkpoint_every_s:
                save()
                saved_at_s = timer()
        if writes:
            save()
            log.draw_curves()
    wait_for_all(place)
    return last


def make_training_step(
    recipe: Recipe, encoder: SiameseEncoder, n_classes: int, targets: Embedding | None, n_processes: int = 1
) -> TrainingStep:
    """The encoder with its loss and, where there are targets, what holds it to them."""
    objective = make_objective(recipe.loss, n_classes, recipe.encoder.n_own, recipe.sampling.clips_per_speaker)
    n_student = recipe.encoder.n_taught or recipe.encoder.n_embedding
    distillation = Distillation(n_student, targets.shape[1]) if targets is not None else None
    return TrainingStep(encoder, objective, distillation, recipe, n_processes)


def targets_of(batch: Batch, targets: Embedding | None, place: Place) -> Tensor | None:
    """What the teacher makes of the clip behind each crop: (n_crops, n_teacher)."""
    return None if targets is None else torch.from_numpy(targets[batch.groups]).to(place.device)


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


def describe(rows: Sequence[PreparedUtterance], split: Sequence[PreparedUtterance]) -> dict[str, Any]:
    """Corpora, speakers, clips and hours that were trained on, for the card; the hash is of the split that they are from."""
    corpora = sorted({row.utterance.corpus for row in rows})
    return {
        "corpora": corpora,
        "n_speakers": len({row.utterance.speaker for row in rows}),
        "n_clips": len(rows),
        "hours": round(sum(row.duration_s for row in rows) / 3600, 2),
        "sha256": rows_sha256(split),
    }


def _first_clips(rows: Sequence[PreparedUtterance], n_clips: int) -> list[PreparedUtterance]:
    count: dict[str, int] = {}
    chosen = []
    for row in rows:
        count[row.utterance.speaker] = count.get(row.utterance.speaker, 0) + 1
        if count[row.utterance.speaker] <= n_clips:
            chosen.append(row)
    return chosen


def _require_one_run(recipe: Recipe, split: Sequence[PreparedUtterance], place: Place, data: Path) -> None:
    if of_first((recipe, rows_sha256(split)), place) != (recipe, rows_sha256(split)):
        raise InvalidArgument(
            f"process {place.rank} has another recipe, or in {data} other training clips, than the first process; give all "
            "machines the same"
        )


def _require_same_run(
    checkpoint: Checkpoint,
    recipe: Recipe,
    split: Sequence[PreparedUtterance],
    teacher: Teacher | None,
    out: Path,
    data: Path,
) -> None:
    if checkpoint.recipe != recipe:
        raise InvalidArgument(f"{out} holds a run of another recipe ({checkpoint.recipe.name}); choose another folder")
    if checkpoint.training_data["sha256"] != rows_sha256(split):
        raise InvalidArgument(
            f"{out} holds a run on other training clips than those of {data}: going on would mix up its speakers. "
            "Choose another folder"
        )
    was = checkpoint.teacher["encoder_id"] if checkpoint.teacher else None
    if was != (teacher.encoder_id if teacher else None):
        raise InvalidArgument(f"{out} holds a run that another teacher taught ({was}); choose another folder")


def _timer() -> Any:
    start = time.monotonic()
    return lambda: time.monotonic() - start


def _progress(disable: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), TextColumn("{task.fields[status]}"), disable=disable)
