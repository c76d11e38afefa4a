"""Which engine runs the encoder, and that it gives TorchScript's embeddings."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from app.adapters.embedders import open_embedder
from app.errors import SettingsError
from model.bundle import ENGINE_GRAPH, Bundle, load_bundle, seal_card
from model.bundle_encoder import open_encoder_in
from model.embedding import MAX_WINDOW_SAMPLES, MIN_SAMPLES, embed
from model.errors import BundleError, InvalidArgument
from model.onnx_encoder import MAX_DIFFERENCE, EngineEncoder, largest_difference
from model.scoring import unit
from model.waveform import Samples, Source, Waveform
from tiny_bundle import write_tiny_bundle
from training.graph import add_graph


def noise(n_samples: int, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny bundle with its graph."""
    path = write_tiny_bundle(tmp_path_factory.mktemp("engines") / "tiny")
    add_graph(path)
    return path


@pytest.fixture
def bundle(folder: Path) -> Bundle:
    return load_bundle(folder)


@pytest.fixture
def lying(folder: Path, tmp_path: Path) -> Bundle:
    """A bundle whose graph is of another encoder."""
    other = write_tiny_bundle(tmp_path / "other", seed=2)
    add_graph(other)
    path = Path(shutil.copytree(folder, tmp_path / "lying"))
    shutil.copyfile(other / ENGINE_GRAPH, path / ENGINE_GRAPH)
    seal_card(path, dict(load_bundle(folder).card))
    return load_bundle(path)


@pytest.mark.parametrize("n_samples", [MIN_SAMPLES, MIN_SAMPLES + 1, 559, 560, 4_001, 16_000, 48_079])
def test_the_graph_embeds_clips_of_every_length_as_torchscript_does(bundle: Bundle, n_samples: int) -> None:
    assert bundle.engine_graph is not None
    clip = noise(n_samples)
    expected = embed(open_encoder_in(bundle.path, bundle.card), [clip])
    assert np.abs(embed(EngineEncoder(bundle.engine_graph), [clip]) - expected).max() <= 1e-5


def test_a_batch_of_clips_embeds_as_each_alone(bundle: Bundle) -> None:
    assert bundle.engine_graph is not None
    encoder = EngineEncoder(bundle.engine_graph)
    clips = [noise(n, n) for n in (4_001, 16_000, 9_999)]
    for clip, row in zip(clips, embed(encoder, clips), strict=True):
        np.testing.assert_array_equal(embed(encoder, [clip])[0], row)


def test_engines_are_asked_for_by_name(bundle: Bundle) -> None:
    engines = {name: open_embedder(name, bundle, "cpu") for name in ("torchscript", "onnxruntime")}
    assert {name: embedder.engine for name, embedder in engines.items()} == {name: name for name in engines}
    assert open_embedder("auto", bundle, "cpu").engine in engines
    clip = Waveform(noise(32_000), Source("wav", 16_000, 1))
    difference = np.abs(engines["torchscript"].embed(clip) - engines["onnxruntime"].embed(clip)).max()
    assert 0 < difference <= MAX_DIFFERENCE  # not one engine under two names


def test_a_graph_that_embeds_otherwise_is_not_taken(lying: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="vouch"):
        assert open_embedder("auto", lying, "cpu").engine == "torchscript"
    assert "embeds otherwise than its encoder.ts" in caplog.text
    with pytest.raises(BundleError, match=r"embeds otherwise .* Set VOUCH_ENGINE to torchscript"):
        open_embedder("onnxruntime", lying, "cpu")


def test_a_bundle_without_a_graph_runs_in_torchscript(tmp_path: Path) -> None:
    bundle = load_bundle(write_tiny_bundle(tmp_path / "plain"))
    assert open_embedder("auto", bundle, "cpu").engine == "torchscript"
    with pytest.raises(SettingsError, match=r"has no engine\.onnx\. `vouch-train graph"):
        open_embedder("onnxruntime", bundle, "cpu")


def test_the_check_sees_a_difference_wherever_it_is(bundle: Bundle, lying: Bundle) -> None:
    reference = open_encoder_in(bundle.path, bundle.card)
    assert bundle.engine_graph is not None
    assert lying.engine_graph is not None
    assert largest_difference(reference, EngineEncoder(bundle.engine_graph)) <= 1e-5
    assert largest_difference(reference, EngineEncoder(lying.engine_graph)) > MAX_DIFFERENCE


def test_adding_a_graph_leaves_every_id_and_says_no_to_imports(tmp_path: Path) -> None:
    path = write_tiny_bundle(tmp_path / "plain")
    before = load_bundle(path)
    add_graph(path)
    after = load_bundle(path)
    assert (after.bundle_id, after.encoder_id, after.calibration_id) == (
        before.bundle_id,
        before.encoder_id,
        before.calibration_id,
    )
    assert before.engine_graph is None
    assert after.engine_graph is not None
    imported = write_tiny_bundle(tmp_path / "imported")
    seal_card(imported, {**load_bundle(imported).card, "encoder": {"kind": "ecapa"}})
    with pytest.raises(InvalidArgument, match="imported"):
        add_graph(imported)
    assert load_bundle(imported).engine_graph is None


def test_a_long_clip_is_the_mean_of_its_windows_and_silence_says_nothing(bundle: Bundle) -> None:
    encoder = open_encoder_in(bundle.path, bundle.card)
    voice = noise(MAX_WINDOW_SAMPLES - 1)
    silence = np.zeros(MAX_WINDOW_SAMPLES - 1, dtype=np.float32)
    alone = embed(encoder, [voice])[0]
    np.testing.assert_allclose(embed(encoder, [np.concatenate([voice, silence])])[0], alone, atol=1e-6)
    twice = embed(encoder, [np.concatenate([voice, voice])])[0]
    np.testing.assert_allclose(twice, alone, atol=1e-6)
    louder = noise(MAX_WINDOW_SAMPLES - 1, 2) * np.float32(3)
    expected = np.average(
        [alone, embed(encoder, [louder])[0]],
        axis=0,
        weights=[voice.std(dtype=np.float64), louder.std(dtype=np.float64)],
    )
    np.testing.assert_allclose(embed(encoder, [np.concatenate([voice, louder])])[0], expected, atol=1e-6)
    assert np.linalg.norm(unit(twice)) == pytest.approx(1, abs=1e-6)


def test_a_long_clip_among_short_ones_changes_none_of_them(bundle: Bundle) -> None:
    encoder = open_encoder_in(bundle.path, bundle.card)
    short, long = noise(16_000), noise(MAX_WINDOW_SAMPLES + 16_000, 2)
    together = embed(encoder, [short, long])
    np.testing.assert_allclose(together[0], embed(encoder, [short])[0], atol=1e-6)
    np.testing.assert_allclose(together[1], embed(encoder, [long])[0], atol=1e-6)
