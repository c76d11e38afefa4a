"""Import, calibrate, serve: an encoder from elsewhere in the commands that people type."""

import importlib.util
import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

import voicemaking
from app.main import create_app
from app.settings import Settings
from model.bundle import load_bundle
from model.embedding import embed
from model.scoring import cosine_score
from tiny_graph import StatisticsEncoder, write_graph
from training.cli import app
from training.dataset import read_samples
from training.encoders import open_encoder
from training.importers.resemblyzer import LIMIT

ENGINES = {"onnx": "onnxruntime", "resemblyzer": "torchscript"}


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voices")
    voicemaking.write_corpus(folder / "voices", n_speakers=16, n_clips=4, duration_s=1.5)
    run("prepare", f"manifest:{folder / 'voices'}", "--out", folder / "data")
    return folder


def import_command(kind: str, folder: Path) -> list[object]:
    if kind == "resemblyzer":
        if importlib.util.find_spec("resemblyzer") is None:
            pytest.skip("needs the package resemblyzer, which `make install-dev` installs")
        return ["import", "resemblyzer"]
    graph = write_graph(folder / "encoder.onnx", StatisticsEncoder())
    said = ("--licence", "CC BY 4.0", "--training-data", "VoxCeleb2", "--convention", "wespeaker")
    return ["import", "onnx", graph, *said]


@pytest.mark.parametrize("kind", list(ENGINES))
def test_import_and_calibrate_make_a_bundle_that_is_served(kind: str, data: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    said = run(*import_command(kind, tmp_path), "--out", bundle, "--limit", "Made voices only.")
    assert f"next: vouch-train calibrate --encoder {bundle}" in said.replace("bundle ", "bundle")
    run("calibrate", "--encoder", bundle, "--data", data / "data", "--out", tmp_path / "calibration.json")
    card = load_bundle(bundle).card
    assert card["training"]["initialisation"].startswith("imported from ")
    saved = json.loads((tmp_path / "calibration.json").read_text())
    assert card["calibration"] == saved["calibration"] | {"calibration_id": saved["calibration_id"]}
    assert "Made voices only." in card["limits"]
    assert (LIMIT in card["limits"]) == (kind == "resemblyzer")

    paths = [data / "voices" / name for name in ("s3/0.wav", "s3/1.wav", "s7/0.wav")]
    encoder = open_encoder(bundle).module
    embeddings = [embed(encoder, [read_samples(path)])[0] for path in paths]
    settings = Settings(bundle=bundle, data_dir=tmp_path / "served", device="cpu")
    with TestClient(create_app(settings), base_url="http://localhost:8000") as client:
        model = client.get("/v1/model").json()
        assert (model["licence"], model["engine"]) == (card["licence"], ENGINES[kind])
        assert model["training_data"] == card["training"]["data"]
        for i, j in ((0, 1), (0, 2)):
            files = {"audio_a": paths[i].read_bytes(), "audio_b": paths[j].read_bytes()}
            answer = client.post("/v1/compare", files=files).json()
            assert answer["score"] == pytest.approx(cosine_score(embeddings[i], embeddings[j]), abs=1e-4)


def test_a_wrong_import_says_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["import", "onnx", str(tmp_path / "x.onnx"), "--out", str(tmp_path / "bundle")])
    assert result.exit_code == 3
    assert "there is nothing at" in " ".join(result.output.split())
