"""What `vouch-train import` asks for, refuses and writes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_imports import SAID, calibrated, noise
from model.bundle import GRAPH, file_sha256, load_bundle
from model.embedding import embed
from model.errors import BundleError, InvalidArgument
from training.encoders import open_encoder
from training.importers.imported import write_import
from training.importers.kaldi_fbank import FbankConfig, fbank_config
from training.importers.sealing import seal
from training.importers.sources import ImportOptions, read_source

# --- what is written ---


def test_the_service_refuses_an_import_without_calibration_and_says_what_to_do(imported: Path) -> None:
    with pytest.raises(
        BundleError, match=r"no calibration yet: `vouch-train calibrate --encoder .*bundle --data DATA`"
    ):
        load_bundle(imported)


def test_the_lab_opens_it_before_and_after_with_one_identity(imported: Path) -> None:
    before = open_encoder(imported)
    seal(imported, calibrated(imported))
    after = open_encoder(imported)
    assert before.encoder_id == after.encoder_id
    assert np.array_equal(embed(before.module, [noise(8_000)]), embed(after.module, [noise(8_000)]))


def test_the_card_says_where_it_comes_from(imported: Path, graph: Path) -> None:
    seal(imported, calibrated(imported))
    bundle = load_bundle(imported)
    assert bundle.card["licence"] == "CC BY 4.0"
    assert bundle.card["training"] == {
        "initialisation": f"imported from the ONNX file encoder.onnx, SHA-256 {file_sha256(graph)}",
        "data": {"corpora": ["VoxCeleb2"]},
    }
    assert "A test." in bundle.card["limits"]
    assert bundle.n_embedding == 16
    text = (imported / "card.md").read_text()
    assert f"imported from the ONNX file encoder.onnx, SHA-256 {file_sha256(graph)}" in text
    assert "VoxCeleb2" in text
    assert "CC BY 4.0" in text
    assert "a test's speakers" in text


def test_it_may_be_calibrated_again(imported: Path) -> None:
    seal(imported, calibrated(imported))
    first = load_bundle(imported)
    seal(imported, calibrated(imported, slope=12.0))
    second = load_bundle(imported)
    assert second.likelihood.calibration.slope == 12.0
    assert first.encoder_id == second.encoder_id
    assert first.bundle_id != second.bundle_id
    assert not [path for path in imported.parent.iterdir() if path != imported]


def test_a_calibration_of_another_encoder_is_refused(imported: Path) -> None:
    with pytest.raises(InvalidArgument, match="was fitted to encoder 0123"):
        seal(imported, replace(calibrated(imported), encoder_id="0123"))
    assert not (imported / "bundle.json").exists()


def test_an_altered_graph_is_refused(imported: Path) -> None:
    seal(imported, calibrated(imported))
    with (imported / GRAPH).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(BundleError, match=r"encoder\.onnx in .* was altered"):
        load_bundle(imported)


def test_a_card_must_list_both_files_of_a_graph(imported: Path) -> None:
    seal(imported, calibrated(imported))
    card = json.loads((imported / "bundle.json").read_text())
    del card["files"]["front_end.ts"]
    (imported / "bundle.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"does not list front_end\.ts"):
        load_bundle(imported)


def test_what_is_there_already_is_left_alone(imported: Path, graph: Path) -> None:
    with pytest.raises(InvalidArgument, match="is there already"):
        write_import(read_source("onnx", graph, SAID), imported, name="again")


def test_a_foreign_note_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", "{}"):
        (tmp_path / "imported.json").write_text(text)
        with pytest.raises(InvalidArgument, match="was not written by `vouch-train import`"):
            open_encoder(tmp_path)


# --- what is asked for ---


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("tape", SAID, "one of resemblyzer, speechbrain, campplus, onnx; got 'tape'"),
        ("onnx", replace(SAID, licence=None), "give --licence and, for each corpus, --training-data"),
        ("onnx", replace(SAID, training_data=()), "give --licence and, for each corpus, --training-data"),
        ("onnx", replace(SAID, fbank=None), "--convention wespeaker or 3d-speaker"),
        ("onnx", replace(SAID, centre=True), "belongs to speechbrain"),
        ("resemblyzer", SAID, "belongs to onnx"),
        ("resemblyzer", ImportOptions(), "does not hold Resemblyzer's weights"),
        ("speechbrain", replace(SAID, fbank=None), "it holds no embedding_model.ckpt"),
        ("campplus", replace(SAID, fbank=None), "is not a checkpoint of 3D-Speaker's"),
        ("campplus", ImportOptions(), "give --licence and, for each corpus, --training-data"),
    ],
)
def test_a_source_that_is_not_what_it_is_said_to_be(
    graph: Path, kind: str, options: ImportOptions, message: str
) -> None:
    with pytest.raises(InvalidArgument, match=message):
        read_source(kind, graph, options)


@pytest.mark.parametrize("kind", ["speechbrain", "campplus", "onnx"])
def test_a_source_must_be_named_and_be_there(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=f"say where the {kind} encoder is"):
        read_source(kind, None, ImportOptions())
    with pytest.raises(InvalidArgument, match="there is nothing at"):
        read_source(kind, tmp_path / "nowhere", ImportOptions())


def test_a_convention_with_changes() -> None:
    nothing: dict[str, Any] = {"n_mels": None, "window": None, "scale": None, "keep_mean": False}
    assert fbank_config(None, **nothing) is None
    assert fbank_config("3d-speaker", **nothing) == FbankConfig(80, "povey", "unit", True)
    changed = fbank_config("wespeaker", n_mels=40, window="povey", scale="unit", keep_mean=True)
    assert changed == FbankConfig(40, "povey", "unit", False)
    for convention, changes in (("kaldi", {}), (None, {"n_mels": 40}), ("wespeaker", {"window": "square"})):
        with pytest.raises(InvalidArgument, match="is one of"):
            fbank_config(convention, **{**nothing, **changes})
