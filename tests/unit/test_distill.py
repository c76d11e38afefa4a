"""A taught branch learns what its teacher says, in step with the labels' branch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.encoder import EncoderConfig, SiameseEncoder
from model.errors import InvalidArgument
from training.augment.voices import Voice
from training.checkpoint import load_checkpoint
from training.dataset import at_most, read_prepared
from training.distill import Distillation, open_teacher, teacher_targets
from training.feature_store import open_features
from training.recipe import DataConfig, DistillConfig, LossConfig, OptimiserConfig, Recipe, SamplingConfig
from training.train import train
from training.validation import embed_features

TEACHER = Recipe(
    name="teacher",
    epochs=1,
    steps_per_epoch=2,
    encoder=EncoderConfig(
        n_mels=20, channels=(4, 4), strides_mel=(2, 2), strides_time=(2, 2), residual=(0, 0), n_hidden=6, n_embedding=8
    ),
    sampling=SamplingConfig(kind="speakers", batch_size=4, crop_s=(0.4, 0.6)),
    loss=LossConfig(contrastive_weight=0.0),
)
VOICES = (Voice(), Voice(speed=1.1))


@pytest.fixture(scope="module")
def taught(data: Path) -> Recipe:
    """Two branches, the second taught by a run on the same voices."""
    train(TEACHER, data, data / "teacher")
    return replace(
        TEACHER,
        name="taught",
        epochs=5,
        steps_per_epoch=30,
        data=DataConfig(VOICES),
        encoder=replace(TEACHER.encoder, channels=(8, 8), n_projected=16, n_hidden=16, n_embedding=16, n_taught=8),
        sampling=replace(TEACHER.sampling, crop_s=(0.8, 0.95)),
        distill=DistillConfig(teacher=str(data / "teacher"), weight=10.0),
        optimiser=OptimiserConfig(learning_rate=0.01, schedule="one_cycle"),
    )


def agreement(recipe: Recipe, checkpoint: Path, data: Path) -> float:
    """Mean cosine of the taught branch and the teacher over the training clips in every voice."""
    rows = read_prepared(data / "utterances.csv", "train")
    targets = teacher_targets(open_teacher(recipe.distill.teacher), rows, VOICES, data)
    encoder = SiameseEncoder(recipe.encoder)
    encoder.load_state_dict(load_checkpoint(checkpoint).encoder)
    embeddings = embed_features(encoder, open_features(rows, recipe.encoder.n_mels, data, voices=VOICES))
    student = torch.nn.functional.normalize(embeddings[:, recipe.encoder.n_own :], dim=1).numpy()
    return float((student * targets).sum(axis=1).mean())


def test_the_taught_branch_comes_to_say_what_the_teacher_says(data: Path, taught: Recipe, tmp_path: Path) -> None:
    early, late = (train(taught, data, tmp_path / str(n), max_steps=n) for n in (1, 150))
    assert agreement(taught, early, data) < 0.2
    assert agreement(taught, late, data) > 0.8


def test_a_stopped_run_with_a_teacher_ends_where_an_unstopped_one_does(
    data: Path, taught: Recipe, tmp_path: Path
) -> None:
    whole = train(taught, data, tmp_path / "whole", max_steps=6)
    train(taught, data, tmp_path / "parts", max_steps=3)
    parts = train(taught, data, tmp_path / "parts", max_steps=6)
    a, b = (load_checkpoint(path).encoder for path in (whole, parts))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_another_teachers_run_is_not_continued(data: Path, taught: Recipe, tmp_path: Path) -> None:
    train(taught, data, tmp_path, max_steps=1)
    train(replace(TEACHER, seed=2), data, data / "other")
    teacher = load_checkpoint(tmp_path / "last.pt").teacher
    assert teacher is not None
    assert teacher["encoder_id"] == open_teacher(taught.distill.teacher).encoder_id
    (data / "teacher" / "last.pt").rename(data / "kept.pt")
    (data / "other" / "last.pt").rename(data / "teacher" / "last.pt")
    try:
        with pytest.raises(InvalidArgument, match="another teacher taught"):
            train(taught, data, tmp_path)
    finally:
        (data / "kept.pt").rename(data / "teacher" / "last.pt")


def test_a_teacher_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"teacher .* is not there: it is resemblyzer, or the folder"):
        open_teacher(str(tmp_path / "nobody"))


def test_an_imported_teacher_s_source_and_licence_are_kept_for_the_card(imported: Path) -> None:
    said = open_teacher(str(imported)).describe()["initialisation"]
    assert said.startswith("imported from the ONNX file encoder.onnx, SHA-256 ")
    assert said.endswith("(CC BY 4.0)")


def test_targets_do_not_depend_on_who_asks(data: Path, taught: Recipe, tmp_path: Path) -> None:
    rows = read_prepared(data / "utterances.csv", "train")
    teacher = open_teacher(taught.distill.teacher)
    folders = [tmp_path / str(workers) for workers in (1, 2)]
    for folder in folders:
        folder.mkdir()
    alone, together = (teacher_targets(teacher, rows, VOICES, folder, int(folder.name)) for folder in folders)
    assert alone.shape == (len(rows) * len(VOICES), 8)
    assert np.abs(alone - together).max() < 1e-5


def test_an_embedding_of_another_size_than_the_teachers_is_projected() -> None:
    assert not list(Distillation(8, 8).parameters())
    assert Distillation(8, 5)(torch.randn(3, 8), torch.randn(3, 5)).isfinite()


def test_a_speaker_with_many_clips_gives_some_from_all_over_them(data: Path) -> None:
    rows = read_prepared(data / "utterances.csv", "train")
    assert at_most(rows, 0) == rows
    assert at_most(rows, 3) == rows
    thinned = at_most(rows, 2)
    assert [row for row in rows if row in thinned] == thinned
    of_first = [row for row in rows if row.utterance.speaker == rows[0].utterance.speaker]
    assert [row for row in thinned if row in of_first] == [of_first[0], of_first[1]]
