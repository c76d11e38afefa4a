"""prepare -> train -> evaluate -> calibrate -> export -> serve, by the commands that people type, on made voices."""

import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

import voicemaking
from app.main import create_app
from app.settings import Settings
from model.bundle import load_bundle
from model.embedding import embed
from model.scoring import cosine_score
from model.torchscript import load_encoder
from training.cli import app
from training.dataset import read_samples

RECIPE = """
epochs = 10
steps_per_epoch = 5
validation_clips = 3
[encoder]
n_mels = 24
channels = [6, 8]
strides_mel = [2, 2]
strides_time = [2, 2]
residual = [0, 1]
n_hidden = 8
n_embedding = 12
[sampling]
kind = "speakers"
batch_size = 6
crop_s = [0.5, 0.8]
[loss]
contrastive_weight = 0.1
margin_ramp = [0.0, 0.5]
[optimiser]
learning_rate = 0.005
"""


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain")
    voicemaking.write_corpus(path / "voices", n_speakers=16, n_clips=4, duration_s=1.5)
    voicemaking.write_trials(path / "voices", speakers=[3, 7, 11, 15], n_clips=4)
    (path / "tiny.toml").write_text(RECIPE)
    run("prepare", f"manifest:{path / 'voices'}", "--out", path / "data")
    common = ("--recipe", path / "tiny.toml", "--data", path / "data", "--out", path / "run")
    run("train", *common, "--steps", 7)
    run("train", *common)
    run("calibrate", "--encoder", path / "run", "--data", path / "data")
    trials = ("--trials", path / "voices" / "made.txt", "--root", path / "voices")
    calibration = ("--calibration", path / "run" / "calibration.json", "--data", path / "data")
    run("evaluate", "--encoder", path / "run", *trials, *calibration)
    report = path / "run" / "evaluation" / "made-cosine.json"
    run("export", "--encoder", path / "run", "--out", path / "bundle", "--name", "chain", "--evaluation", report)
    return path


def test_the_report_says_what_was_measured(folder: Path) -> None:
    report = json.loads((folder / "run" / "evaluation" / "made-cosine.json").read_text())
    assert (report["n_target"], report["n_non_target"], report["n_speakers"]) == (24, 96, 4)
    low, high = report["eer_interval"]
    assert 0 <= low <= report["eer"] <= high <= 1
    assert report["accuracy_threshold_from"] == "4 validation speakers"
    assert set(report["calibrated"]["fmr"]) == set(load_bundle(folder / "bundle").operating_points)
    for picture in ("made-cosine-det.png", "made-cosine-scores.png"):
        assert (folder / "run" / "evaluation" / picture).read_bytes().startswith(b"\x89PNG")


def test_training_made_the_encoder_better_than_chance(folder: Path) -> None:
    assert json.loads((folder / "run" / "evaluation" / "made-cosine.json").read_text())["eer"] < 0.35


def test_the_bundle_tells_how_it_came_to_be(folder: Path) -> None:
    card = load_bundle(folder / "bundle").card
    assert card["training"]["steps"] == 50
    assert card["training"]["data"]["n_speakers"] == 8
    assert card["training"]["recipe"]["encoder"]["n_mels"] == 24
    assert card["evaluations"][0]["trials"] == "made"
    assert card["export_difference"] <= 1e-4
    text = (folder / "bundle" / "MODEL_CARD.md").read_text()
    assert card["encoder_id"] in text
    assert "| made | cosine | 24 + 96 | 4 |" in text


def test_a_bundle_evaluates_as_its_checkpoint_does(folder: Path) -> None:
    trials = ("--trials", folder / "voices" / "made.txt", "--root", folder / "voices")
    run("evaluate", "--encoder", folder / "bundle", *trials, "--out", folder / "again")
    before, after = (
        json.loads((path / "made-cosine.json").read_text())
        for path in (folder / "run" / "evaluation", folder / "again")
    )
    assert after["eer"] == pytest.approx(before["eer"], abs=1e-3)


def test_the_service_scores_with_it_as_the_lab_does(folder: Path, tmp_path: Path) -> None:
    paths = [folder / "voices" / name for name in ("s3/0.wav", "s3/1.wav", "s7/0.wav")]
    encoder = load_encoder(load_bundle(folder / "bundle").encoder_path)
    embeddings = [embed(encoder, [read_samples(path)])[0] for path in paths]
    with TestClient(
        create_app(Settings(bundle=folder / "bundle", data_dir=tmp_path)), base_url="http://localhost:8000"
    ) as client:
        assert client.get("/readyz").status_code == 200
        for i, j in ((0, 1), (0, 2)):
            files = {"audio_a": paths[i].read_bytes(), "audio_b": paths[j].read_bytes()}
            answer = client.post("/v1/compare", files=files).json()
            assert answer["score"] == pytest.approx(cosine_score(embeddings[i], embeddings[j]), abs=1e-3)
            assert answer["model"]["sha256"] == load_bundle(folder / "bundle").sha256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "tapes:/x"], "KIND one of"),
        (["train", "--recipe", "missing"], "there is no recipe"),
        (["train", "--data", "nowhere"], "make it with `vouch-train prepare`"),
        (["calibrate", "--encoder", "nowhere"], "neither a bundle, nor a run's folder, nor a checkpoint"),
    ],
)
def test_a_wrong_command_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert message in " ".join(result.output.split())


def test_a_calibration_of_other_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    common = ("--recipe", folder / "tiny.toml", "--data", folder / "data", "--out", tmp_path / "run")
    run("train", *common, "--steps", 2)
    calibration = ("--calibration", folder / "run" / "calibration.json")
    arguments = ["export", "--encoder", tmp_path / "run", *calibration, "--out", tmp_path / "bundle"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 3
    assert "run `vouch-train calibrate` on it again" in " ".join(result.output.split())
    assert not (tmp_path / "bundle").exists()


def test_an_export_that_differs_is_refused(folder: Path, tmp_path: Path) -> None:
    from training.checkpoint import load_checkpoint, waveform_encoder
    from training.export import TOLERANCE, export_difference

    module = waveform_encoder(load_checkpoint(folder / "run" / "last.pt"))
    exported = load_encoder(load_bundle(folder / "bundle").encoder_path)
    assert export_difference(module, exported) <= TOLERANCE
    weight = next(iter(module.encoder.parameters()))
    weight.data.add_(0.05 * np.float32(1.0))
    assert export_difference(module, exported) > TOLERANCE
