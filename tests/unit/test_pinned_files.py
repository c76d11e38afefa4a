"""What is parsed is what was hashed: of every file of a bundle, of files that are changed meanwhile, and of the detector."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from app.adapters.embedders import open_embedder
from made_imports import calibrated
from model.bundle import COHORT, PROSE, Bundle, load_bundle, write_card
from model.calibration import Calibration
from model.errors import BundleError
from model.likelihood import LikelihoodModel
from model.onnx_encoder import open_session
from model.scoring import Cohort
from model.speech import GRAPH, SpeechDetector
from samples import random_embeddings
from tiny_bundle import POINTS, write_tiny_bundle
from training.graph import add_graph
from training.importers.sealing import seal

OWN = {"bundle.json", "card.md", "cohort.npy", "encoder.ts", "engine.onnx"}
IMPORTED = {"bundle.json", "card.md", "encoder.onnx", "front_end.ts", "imported.json"}
JUNK = pickle.dumps(["no", "parser", "of", "a", "bundle", "takes", "this"])


def write_own_bundle(folder: Path) -> Path:
    """With everything that a bundle of ours may hold."""
    write_tiny_bundle(folder)
    add_graph(folder)
    card = load_bundle(folder).card
    n_embedding = card["n_embedding"]
    cohort = Cohort(random_embeddings(3, 8, n_embedding), 4)
    write_card(
        folder,
        encoder_id=card["encoder_id"],
        n_embedding=n_embedding,
        likelihood=LikelihoodModel(Calibration(9.0, -3.0, 0.5), cohort),
        operating_points=POINTS,
        about={"name": "own", "encoder": card["encoder"]},
        prose=lambda _: "# A test's\n",
    )
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_own_bundle(tmp_path_factory.mktemp("pinned") / "own")


@contextlib.contextmanager
def holding(path: Path, content: bytes) -> Iterator[None]:
    whole = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(whole)


def flipped(path: Path) -> bytes:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    return bytes(content)


def refuses_every_change(folder: Path, names: set[str]) -> None:
    pin = load_bundle(folder).sha256
    assert {path.name for path in folder.iterdir()} == names
    for path in folder.iterdir():
        told = "VOUCH_BUNDLE_SHA256 asks for" if path.name == "bundle.json" else rf"{path.name} in .* was altered"
        for content in (flipped(path), JUNK):
            with holding(path, content), pytest.raises(BundleError, match=told):
                load_bundle(folder, pin)
    load_bundle(folder, pin)


def test_no_file_of_a_bundle_reaches_a_parser_before_its_hash_is_known(own: Path) -> None:
    """A parser would have complained of what it cannot read; the refusal names the hash."""
    refuses_every_change(own, OWN)


def test_nor_does_one_of_an_imported_bundle(imported: Path) -> None:
    refuses_every_change(seal(imported, calibrated(imported)), IMPORTED)


def test_a_card_that_gives_a_file_no_hash_is_refused(own: Path) -> None:
    card = own / "bundle.json"
    sha256 = load_bundle(own).card["files"]["encoder.ts"]
    without = card.read_text().replace(f'"{sha256}"', "null")
    with holding(card, without.encode()), pytest.raises(BundleError, match=r"encoder\.ts in .* was altered"):
        load_bundle(own)


def refuses_a_change_after_the_start(bundle: Bundle, engine: str, name: str, other: bytes) -> None:
    with holding(bundle.path / name, other), pytest.raises(BundleError, match=rf"{name} in .* was altered"):
        open_embedder(engine, bundle, "cpu")


@pytest.mark.parametrize(("engine", "name"), [("torchscript", "encoder.ts"), ("onnxruntime", "engine.onnx")])
def test_an_encoder_that_is_exchanged_after_the_check_is_refused(
    own: Path, tmp_path: Path, engine: str, name: str
) -> None:
    """It would load: it is another whole bundle's."""
    other = write_tiny_bundle(tmp_path / "other", seed=2)
    add_graph(other)
    refuses_a_change_after_the_start(load_bundle(own), engine, name, (other / name).read_bytes())


@pytest.mark.parametrize("name", ["front_end.ts", "encoder.onnx"])
def test_so_is_a_part_of_an_imported_one(imported: Path, name: str) -> None:
    bundle = load_bundle(seal(imported, calibrated(imported)))
    refuses_a_change_after_the_start(bundle, "auto", name, flipped(imported / name))


def test_cohort_and_prose_are_those_that_were_hashed(own: Path) -> None:
    bundle = load_bundle(own)
    assert bundle.prose == (own / PROSE).read_text()
    assert bundle.likelihood.cohort is not None
    assert np.array_equal(bundle.likelihood.cohort.embeddings, np.load(own / COHORT).astype(np.float32))


def test_a_worn_detector_is_refused(tmp_path: Path) -> None:
    copy = tmp_path / GRAPH.name
    copy.write_bytes(GRAPH.read_bytes())
    assert len(SpeechDetector(copy).probabilities(np.zeros(512, np.float32))) == 1
    copy.write_bytes(flipped(GRAPH))
    with pytest.raises(BundleError, match=r"speech_detector\.onnx in .* was altered"):
        SpeechDetector(copy)


def test_a_graph_that_keeps_its_weights_elsewhere_is_refused(tmp_path: Path) -> None:
    """Neither from beside it nor from the working directory: no hash holds them."""
    weights = numpy_helper.from_array(np.ones((4, 4), np.float32), "weights")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    graph = helper.make_graph([node], "g", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    inside, outside = tmp_path / "inside.onnx", tmp_path / "outside.onnx"
    onnx.save(model, inside)
    onnx.save(model, outside, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert (tmp_path / "weights.bin").is_file()
    open_session(inside)
    with contextlib.chdir(tmp_path), pytest.raises(BundleError, match="External data path"):
        open_session(outside)
