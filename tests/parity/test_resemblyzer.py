"""Our rebuilt Resemblyzer embeds as the package does, with the weights that ship in its wheel."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import shipped
from model.embedding import embed
from model.torchscript import export_encoder, load_encoder
from training.dataset import read_samples
from training.importers.resemblyzer import installed_weights, read_weights

if importlib.util.find_spec("resemblyzer") is None:
    pytest.skip("needs the package resemblyzer, which `make install-dev` installs", allow_module_level=True)

LENGTHS = (400, 3_999, 25_599, 25_600, 31_519, 31_520, 40_000, 44_799, 48_123, 160_000)
"""One frame; about one partial utterance; either side of the coverage that a second one needs; several."""


@pytest.fixture(scope="module")
def original() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's and scipy's deprecated names, not ours
        from resemblyzer import VoiceEncoder

    return VoiceEncoder("cpu", verbose=False)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    path: Path = tmp_path_factory.mktemp("resemblyzer") / "encoder.ts"
    export_encoder(read_weights(installed_weights()), path)
    return load_encoder(path)


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    """Noise through a resonance that wanders, louder than -30 dB, so that the package's own volume step is idle."""
    rng = np.random.default_rng(1)
    return [(0.3 * np.convolve(rng.normal(0, 0.3, n), np.hanning(9), "same")).astype(np.float32) for n in LENGTHS]


def test_every_clip_embeds_as_in_the_package(original: Any, imported: nn.Module, clips: list[np.ndarray]) -> None:
    for clip in clips:
        assert np.abs(embed(imported, [clip])[0] - original.embed_utterance(clip)).max() <= 1e-4


def test_real_voices_embed_as_in_the_package_trimmed_by_it(original: Any, imported: nn.Module) -> None:
    from resemblyzer import preprocess_wav

    for path in sorted(shipped.CLIPS.glob("*.ogg")):
        trimmed = preprocess_wav(read_samples(path))
        assert np.abs(embed(imported, [trimmed])[0] - original.embed_utterance(trimmed)).max() <= 1e-4


def test_quiet_clips_embed_as_after_the_package_s_volume_step(original: Any, imported: nn.Module) -> None:
    from resemblyzer.audio import normalize_volume

    rng = np.random.default_rng(2)
    for level in (1e-4, 3e-3, 0.03, 0.05):
        clip = (level * rng.normal(0, 1, 40_000)).astype(np.float32)
        raised = normalize_volume(clip, -30, increase_only=True)
        assert np.abs(embed(imported, [clip])[0] - original.embed_utterance(raised)).max() <= 1e-4


def test_a_batch_embeds_as_each_clip_alone(original: Any, imported: nn.Module, clips: list[np.ndarray]) -> None:
    expected = np.stack([original.embed_utterance(clip) for clip in clips])
    assert np.abs(embed(imported, clips) - expected).max() <= 1e-4
