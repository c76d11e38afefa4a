"""The real parts, put together around a tiny bundle."""

from __future__ import annotations

import io
import logging
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app.access import SCOPES
from app.adapters.embedders import choose_device, open_embedder
from app.components import Components, build, open_keys
from app.errors import SettingsError
from app.settings import Settings
from model.bundle import load_bundle
from model.embedding import MIN_SAMPLES
from model.errors import AudioTooLong, BundleError, UnknownOperatingPoint, UnsupportedAudio
from model.waveform import SAMPLE_RATE_HZ, Source, Waveform
from tiny_bundle import CONFIG, write_tiny_bundle


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def settings(bundle_folder: Path, tmp_path: Path) -> Settings:
    return Settings(bundle=bundle_folder, data_dir=tmp_path / "a" / "data", device="cpu", workers=2, max_audio_s=10)


@pytest.fixture
def parts(settings: Settings) -> Iterator[Components]:
    n_threads = torch.get_num_threads()
    components = build(settings)
    yield components
    components.close()
    torch.set_num_threads(n_threads)


def noise(n_samples: int, seed: int = 0) -> Waveform:
    samples = np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)
    return Waveform(samples, Source("wav", SAMPLE_RATE_HZ, 1))


def wav(waveform: Waveform) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes((waveform.samples * 32767).clip(-32768, 32767).astype("<i2").tobytes())
    return file.getvalue()


def test_the_parts_are_those_of_the_bundle(parts: Components, settings: Settings, bundle_folder: Path) -> None:
    bundle = load_bundle(bundle_folder)
    assert parts.facts.bundle_id == bundle.bundle_id
    assert parts.facts.sha256 == bundle.sha256
    assert parts.embedder.encoder_id == parts.facts.encoder_id == bundle.encoder_id
    assert parts.embedder.n_embedding == CONFIG.n_embedding
    assert (parts.facts.device, parts.facts.engine) == ("cpu", "torchscript")
    assert (settings.data_dir / "vouch.db").is_file()
    parts.store.check()


def test_an_upload_of_noise_goes_all_the_way_and_decides_nothing(parts: Components, settings: Settings) -> None:
    result = parts.use_cases(settings).compare(wav(noise(32_000)), wav(noise(32_000, 1)))
    assert result.decision.outcome == "inconclusive"
    assert result.score is not None
    assert result.clips[0].source == Source("wav", SAMPLE_RATE_HZ, 1)
    assert result.clips[0].quality.duration_s == 2.0


def test_limits_reach_the_decoder(parts: Components) -> None:
    with pytest.raises(AudioTooLong):
        parts.decoder.decode(wav(noise(11 * SAMPLE_RATE_HZ)))
    with pytest.raises(UnsupportedAudio):
        parts.decoder.decode(b"certainly no audio")


def test_embeddings_are_unit_alike_on_all_threads_and_one_thread_each(parts: Components) -> None:
    clips = [noise(n, seed=n) for n in (MIN_SAMPLES, 16_000, 40_000)] * 4
    alone = [parts.embedder.embed(clip) for clip in clips]
    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(parts.embedder.embed, clips))
        assert threads.submit(torch.get_num_threads).result() == 1
    for a, b in zip(alone, together, strict=True):
        assert a.dtype == np.float32
        assert a.shape == (CONFIG.n_embedding,)
        assert np.linalg.norm(a) == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_assessor_may_be_used_by_many_threads_at_once(parts: Components) -> None:
    clips = [noise(16_000, seed) for seed in range(8)]
    alone = [parts.assessor.assess(clip) for clip in clips]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(parts.assessor.assess, clips)) == alone


def test_a_default_operating_point_that_the_bundle_lacks_stops_the_start(settings: Settings) -> None:
    with pytest.raises(UnknownOperatingPoint, match="it has: eer"):
        build(settings.model_copy(update={"operating_point": "fmr_1e-3"}))
    assert not settings.data_dir.exists()


def test_a_bundle_that_is_not_the_one_pinned_stops_the_start(settings: Settings) -> None:
    with pytest.raises(BundleError, match="VOUCH_BUNDLE_SHA256"):
        build(settings.model_copy(update={"bundle_sha256": "00" * 32}))


def test_no_bundle_stops_the_start_and_makes_no_data(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="VOUCH_BUNDLE"):
        build(settings.model_copy(update={"bundle": tmp_path / "nowhere"}))
    assert not settings.data_dir.exists()


def test_a_data_directory_that_cannot_be_made_stops_the_start(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match="VOUCH_DATA_DIR"):
        build(settings.model_copy(update={"data_dir": tmp_path / "file" / "data"}))


def test_an_engine_that_this_release_lacks_is_refused(bundle_folder: Path) -> None:
    bundle = load_bundle(bundle_folder)
    assert open_embedder("auto", bundle, "cpu").engine == open_embedder("torchscript", bundle, "cpu").engine
    with pytest.raises(SettingsError, match="VOUCH_ENGINE is 'onnx', which is none of this release; it has: auto, tor"):
        open_embedder("onnx", bundle, "cpu")


def test_devices(bundle_folder: Path) -> None:
    bundle = load_bundle(bundle_folder)
    assert choose_device("cpu", bundle) == "cpu"
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    assert choose_device("auto", bundle) == ("cuda" if n_cuda else "cpu")
    with pytest.raises(SettingsError, match=f"PyTorch finds {n_cuda} CUDA devices"):
        choose_device(f"cuda:{n_cuda}", bundle)


def test_another_device_than_the_cpu_gets_clips_in_batches_and_no_cpu_engine(bundle_folder: Path) -> None:
    """A CPU with a number is another device to everything but PyTorch."""
    bundle = load_bundle(bundle_folder)
    batching, alone = open_embedder("auto", bundle, "cpu:0"), open_embedder("torchscript", bundle, "cpu")
    np.testing.assert_allclose(batching.embed(noise(16_000)), alone.embed(noise(16_000)), atol=1e-5)
    batching.close()
    with pytest.raises(
        SettingsError, match=r"which runs on the CPU, and the device is 'cpu:0'\. Set VOUCH_ENGINE to auto"
    ):
        open_embedder("onnxruntime", bundle, "cpu:0")


def test_an_encoder_of_another_size_than_its_card_says_is_refused(bundle_folder: Path) -> None:
    bundle = load_bundle(bundle_folder)
    larger = replace(bundle, n_embedding=bundle.n_embedding + 1)
    with pytest.raises(BundleError, match=f"gives embeddings of {bundle.n_embedding} numbers, and its card says"):
        open_embedder("torchscript", larger, "cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_embeds_as_the_cpu_does(bundle_folder: Path) -> None:
    bundle = load_bundle(bundle_folder)
    cpu, cuda = open_embedder("torchscript", bundle, "cpu"), open_embedder("auto", bundle, "cuda")
    for clip in (noise(MIN_SAMPLES), noise(16_000), noise(80_123)):
        np.testing.assert_allclose(cpu.embed(clip), cuda.embed(clip), atol=1e-3)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "voice.example"])
def test_beyond_loopback_only_with_a_key_or_on_purpose(settings: Settings, host: str, tmp_path: Path) -> None:
    beyond = settings.model_copy(update={"host": host})
    with pytest.raises(SettingsError, match=r"has no keys.*`vouch keys create.*VOUCH_ALLOW_KEYLESS=1"):
        build(beyond)
    build(beyond.model_copy(update={"allow_keyless": True})).close()
    with open_keys(beyond) as keys:
        keys.create("n", "t", ["verify"])
    build(beyond).close()


def test_the_first_key_is_left_in_its_file_and_never_in_the_log(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "bootstrap.key"
    beyond = settings.model_copy(update={"host": "0.0.0.0", "bootstrap_key_file": path})
    with caplog.at_level(logging.DEBUG):
        parts = build(beyond)
    text = path.read_text().strip()
    assert parts.keys.authenticate(text).scopes == set(SCOPES)
    parts.close()
    assert str(path) in caplog.text
    assert text.split("_")[2] not in caplog.text
    build(beyond).close()
    assert path.read_text().strip() == text
