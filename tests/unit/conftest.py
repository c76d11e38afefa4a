from pathlib import Path

import pytest

import voicemaking
from made_imports import SAID
from tiny_graph import StatisticsEncoder, write_graph
from training.importers.imported import write_import
from training.importers.sources import read_source
from training.prepare import prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `vouch-train prepare` makes of six speakers with three clips of a second each."""
    folder = tmp_path_factory.mktemp("voices")
    voicemaking.write_corpus(folder, n_speakers=6, n_clips=3, duration_s=1.0)
    prepare([f"manifest:{folder}"], folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graph(tmp_path_factory.mktemp("graph") / "encoder.onnx", StatisticsEncoder())


@pytest.fixture
def imported(graph: Path, tmp_path: Path) -> Path:
    return write_import(read_source("onnx", graph, SAID), tmp_path / "bundle", name="graph", limits=["A test."])
