"""The loop on made voices: resuming, repeating, logging."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.encoder import EncoderConfig
from model.errors import InvalidArgument
from training.augment.mel import AugmentConfig
from training.augment.render import RenderConfig
from training.augment.voices import Voice
from training.checkpoint import load_checkpoint, waveform_encoder
from training.crop_sources import open_crop_source
from training.dataset import read_prepared
from training.feature_store import open_features
from training.recipe import DataConfig, FinetuneConfig, LossConfig, OptimiserConfig, Recipe, SamplingConfig
from training.train import train

RECIPE = Recipe(
    name="tiny",
    epochs=2,
    steps_per_epoch=4,
    validation_clips=2,
    encoder=EncoderConfig(
        n_mels=20, channels=(4, 4), strides_mel=(2, 2), strides_time=(2, 2), residual=(0, 0), n_hidden=6, n_embedding=8
    ),
    sampling=SamplingConfig(kind="speakers", batch_size=4, crop_s=(0.4, 0.6)),
    augment=AugmentConfig(noise=0.5, mask=0.5, mask_n_mels=4, ramp_steps=3),
    loss=LossConfig(contrastive_weight=0.1, margin_ramp=(0.0, 0.5)),
    optimiser=OptimiserConfig(kind="adamw", schedule="one_cycle"),
)
SEED_LIKE = replace(
    RECIPE,
    name="seed-like",
    encoder=replace(RECIPE.encoder, pooling="mean", unit_norm=False, pair_head=True),
    sampling=SamplingConfig(kind="pairs", batch_size=4, crop_s=(0.5, 0.5)),
    loss=LossConfig(kind="contrastive", head_weight=1.0),
    optimiser=OptimiserConfig(step_epochs=1),
)
FULL = replace(
    RECIPE,
    name="full",
    data=DataConfig((Voice(), Voice(speed=1.1), Voice(formants=0.9))),
    render=RenderConfig(n_versions=2, n_rooms=2),
    sampling=replace(RECIPE.sampling, clips_per_speaker=3),
    loss=replace(RECIPE.loss, softmax_kind="angular"),
    finetune=FinetuneConfig(start=0.5, crop_s=(0.5, 0.7)),
    optimiser=replace(RECIPE.optimiser, average_decay=0.9),
)
ANEW = replace(FULL, name="anew", render=RenderConfig(n_versions=3, n_rooms=2, anew=True))


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Those that are trained on and, where there are any, their averages."""
    found = load_checkpoint(checkpoint)
    return found.encoder | {f"average.{name}": value for name, value in (found.average or {}).items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("recipe", [RECIPE, SEED_LIKE, FULL, ANEW], ids=lambda recipe: recipe.name)
def test_a_stopped_run_ends_where_an_unstopped_one_does(data: Path, tmp_path: Path, recipe: Recipe) -> None:
    whole = train(recipe, data, tmp_path / "whole")
    train(recipe, data, tmp_path / "parts", max_steps=3)
    parts = train(recipe, data, tmp_path / "parts")
    assert load_checkpoint(parts).step == 8
    assert same(weights(whole), weights(parts))


def test_one_seed_fixes_everything_and_another_changes_it(data: Path, tmp_path: Path) -> None:
    a = weights(train(RECIPE, data, tmp_path / "a", max_steps=2))
    b = weights(train(RECIPE, data, tmp_path / "b", max_steps=2))
    c = weights(train(replace(RECIPE, seed=2), data, tmp_path / "c", max_steps=2))
    assert same(a, b)
    assert not same(a, c)


def test_the_average_is_exported_and_is_not_the_last_step(data: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(train(FULL, data, tmp_path))
    assert checkpoint.average is not None
    # Of the branch: the CNN's have their norms folded in.
    exported = {name: w for name, w in waveform_encoder(checkpoint).encoder.state_dict().items() if "lstm" in name}
    assert exported
    assert same(exported, {name: checkpoint.average[name] for name in exported})
    assert not same(exported, {name: checkpoint.encoder[name] for name in exported})


def test_features_do_not_depend_on_who_computes_them(data: Path, tmp_path: Path) -> None:
    rows = read_prepared(data / "utterances.csv", "train")
    arguments = {"voices": FULL.data.voices, "render": FULL.render, "seed": 3}
    alone, together = (
        open_features(rows, 20, tmp_path / str(workers), workers=workers, **arguments) for workers in (1, 2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(alone.frames, together.frames, strict=True))
    assert alone.classes == together.classes
    assert len(alone.classes) == 3 * len({row.utterance.speaker for row in rows})
    first, second = alone.clip(0), alone.clip(1)
    assert alone.groups[0] == alone.groups[1]
    assert first.shape == second.shape
    assert not np.array_equal(first, second)


def test_both_crop_sources_have_the_same_groups(data: Path, tmp_path: Path) -> None:
    rows = read_prepared(data / "utterances.csv", "train")
    ahead, anew = (open_crop_source(recipe, rows, tmp_path) for recipe in (FULL, ANEW))
    assert ahead.classes == anew.classes
    assert ahead.groups_of == anew.groups_of


def test_a_crop_of_the_clip_itself_is_the_same_from_either_source(data: Path, tmp_path: Path) -> None:
    rows = read_prepared(data / "utterances.csv", "train")
    ahead, anew = (open_crop_source(recipe, rows, tmp_path) for recipe in (FULL, ANEW))
    # Longer than the clip, so that it holds all of the clip's 98 frames from a random one on.
    crops = [source.crop(0, 0, 1, 120, 0.0, np.random.default_rng(1)) for source in (ahead, anew)]
    assert crops[0].shape == crops[1].shape == (120, 20)
    a, b = (np.sort(crop[:98], axis=0) for crop in crops)
    assert np.abs(a - b).max() < 0.02  # float16 and 16-bit samples


def test_a_rendered_crop_differs_and_repeats_with_its_generator(data: Path, tmp_path: Path) -> None:
    source = open_crop_source(
        replace(ANEW, render=replace(ANEW.render, n_versions=1_000_000)),
        read_prepared(data / "utterances.csv", "train"),
        tmp_path,
    )
    plain, a, b = (source.crop(1, 0, 1, 40, rendered, np.random.default_rng(5)) for rendered in (0.0, 1.0, 1.0))
    assert np.array_equal(a, b)
    assert np.abs(a - plain).max() > 0.1


def test_the_log_has_every_step_once_and_the_curves_are_drawn(data: Path, tmp_path: Path) -> None:
    train(SEED_LIKE, data, tmp_path, max_steps=5)
    train(SEED_LIKE, data, tmp_path)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows if row["loss"]] == list(range(1, 9))
    validations = [row for row in rows if row["validation_eer"]]
    assert [int(row["step"]) for row in validations] == [4, 8]
    assert all(0 <= float(row["validation_head_eer"]) <= 1 for row in validations)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_pair_heads_weights_move_in_a_run(data: Path, tmp_path: Path) -> None:
    start, end = (weights(train(SEED_LIKE, data, tmp_path, max_steps=n))["pair_head.weight"] for n in (1, 8))
    assert float((end - start).abs().max()) > 1e-4


def test_another_recipes_run_is_not_continued(data: Path, tmp_path: Path) -> None:
    train(RECIPE, data, tmp_path, max_steps=1)
    with pytest.raises(InvalidArgument, match=r"holds a run of another recipe \(tiny\)"):
        train(replace(RECIPE, seed=9), data, tmp_path)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(b"nothing")
    with pytest.raises(InvalidArgument, match="not a checkpoint of vouch-train"):
        load_checkpoint(tmp_path / "last.pt")


def test_a_run_is_not_continued_on_other_speakers(data: Path, tmp_path: Path) -> None:
    train(RECIPE, data, tmp_path / "run", max_steps=1)
    text = (data / "utterances.csv").read_text()
    (tmp_path / "utterances.csv").write_text(text.replace("made/s0,", "made/s1x,"))
    with pytest.raises(InvalidArgument, match="on other training clips"):
        train(RECIPE, tmp_path, tmp_path / "run")


def test_a_run_needs_no_validation_speakers(data: Path, tmp_path: Path) -> None:
    lines = (data / "utterances.csv").read_text().splitlines(keepends=True)
    (tmp_path / "utterances.csv").write_text("".join(line for line in lines if ",validation," not in line))
    assert load_checkpoint(train(RECIPE, tmp_path, tmp_path / "run", max_steps=1)).step == 1
