"""Imported graphs: what they must take and give, and where they run."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.adapters.embedders import BundleEmbedder, choose_device, open_embedder
from app.errors import SettingsError
from made_imports import SAID, calibrated, noise
from model.bundle import load_bundle
from model.bundle_encoder import open_encoder_in
from model.embedding import MIN_SAMPLES, embed
from model.errors import BundleError, InvalidArgument
from model.waveform import Source, Waveform
from tiny_graph import StatisticsEncoder, TwoOutputs, write_graph
from training.encoders import open_encoder
from training.importers.folder import read_import
from training.importers.imported import write_import
from training.importers.sealing import seal
from training.importers.sources import read_source


def test_a_clip_of_one_frame_is_repeated_until_the_graph_can_embed_it(imported: Path) -> None:
    assert read_import(imported)["about"]["front_end"]["n_min_frames"] == 2  # one frame has no unbiased deviation
    encoder = open_encoder(imported).module
    one = noise(MIN_SAMPLES)
    assert np.isfinite(embed(encoder, [one])).all()


def test_an_output_is_chosen_by_name_where_there_are_several(tmp_path: Path) -> None:
    two = write_graph(tmp_path / "two.onnx", TwoOutputs(), outputs=("means", "embs"))
    with pytest.raises(InvalidArgument, match=r"outputs means, embs; say by --output"):
        read_source("onnx", two, SAID)
    folder = write_import(read_source("onnx", two, replace(SAID, output="embs")), tmp_path / "bundle", name="two")
    assert read_import(folder)["n_embedding"] == 16


def test_an_output_that_grows_with_the_clip_is_no_embedding(tmp_path: Path) -> None:
    two = write_graph(tmp_path / "two.onnx", TwoOutputs(), outputs=("means", "embs"))
    with pytest.raises(InvalidArgument, match="grows with the clip"):
        write_import(read_source("onnx", two, replace(SAID, output="means")), tmp_path / "bundle", name="two")
    assert not (tmp_path / "bundle").exists()


def test_a_graph_of_other_features_is_refused(tmp_path: Path) -> None:
    forty = write_graph(tmp_path / "forty.onnx", StatisticsEncoder(40))
    with pytest.raises(InvalidArgument, match="takes 40 mel bands; --n-mels is 80"):
        read_source("onnx", forty, SAID)
    fixed = write_graph(tmp_path / "fixed.onnx", StatisticsEncoder(), fixed=True)
    with pytest.raises(InvalidArgument, match="takes 200 frames and no other number"):
        read_source("onnx", fixed, SAID)


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.onnx").write_bytes(b"certainly no graph")
    with pytest.raises(BundleError, match=r"noise\.onnx is not an ONNX graph"):
        read_source("onnx", tmp_path / "noise.onnx", SAID)


def test_the_service_runs_a_graph_on_the_cpu_only(imported: Path) -> None:
    bundle = load_bundle(seal(imported, calibrated(imported)))
    assert choose_device("auto", bundle) == "cpu"
    with pytest.raises(SettingsError, match=r"VOUCH_DEVICE is 'cuda', .* an ONNX graph, which runs on the CPU"):
        choose_device("cuda", bundle)
    with pytest.raises(SettingsError, match=r"VOUCH_ENGINE is 'torchscript', .* is an ONNX graph"):
        open_embedder("torchscript", bundle, "cpu")
    with pytest.raises(BundleError, match="runs on the CPU; the device is 'cuda'"):
        open_encoder_in(bundle.path, bundle.card, "cuda")
    embedder = open_embedder("auto", bundle, "cpu")
    assert isinstance(embedder, BundleEmbedder)
    assert embedder.engine == "onnxruntime"
    embedding = embedder.embed(Waveform(noise(MIN_SAMPLES), Source("wav", 16_000, 1)))
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)
