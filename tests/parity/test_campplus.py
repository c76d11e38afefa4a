"""Our rebuilt CAM++ embeds a waveform as 3D-Speaker does, with random weights saved in its own format."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchaudio.compliance import kaldi

from model.embedding import MIN_SAMPLES, embed
from model.errors import InvalidArgument
from model.torchscript import export_encoder, load_encoder
from training.importers.campplus import read_weights

if importlib.util.find_spec("speakerlab") is None:
    pytest.skip("needs the package speakerlab, which `make install-dev` installs", allow_module_level=True)

LENGTHS = (1_600, 3_999, 16_000, 24_123, 80_077)
"""Samples; the longest spans several of the segments that context is averaged over."""
SHAPES: dict[str, dict[str, Any]] = {
    "published": {"embedding_size": 192},
    "other": {"feat_dim": 64, "embedding_size": 24, "growth_rate": 8, "bn_size": 2, "init_channels": 16},
}


@pytest.fixture(scope="module", params=list(SHAPES))
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, nn.Module]:
    """waveform -> embedding by 3D-Speaker's code, and our import of what it saved."""
    from speakerlab.models.campplus.DTDNN import CAMPPlus

    torch.manual_seed(1)
    shape = SHAPES[request.param]
    network = CAMPPlus(**shape).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):  # as after training: a batch norm that does something
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    folder = tmp_path_factory.mktemp("campplus")
    torch.save(network.state_dict(), folder / "campplus.pt")

    def original(samples: np.ndarray) -> np.ndarray:
        n_mels = shape.get("feat_dim", 80)
        features = kaldi.fbank(torch.from_numpy(samples)[None], num_mel_bins=n_mels, sample_frequency=16_000, dither=0)
        with torch.inference_mode():
            found: np.ndarray = network((features - features.mean(0))[None])[0].numpy()
        return found

    path: Path = folder / "encoder.ts"
    export_encoder(read_weights(folder / "campplus.pt"), path)
    return original, load_encoder(path)


def clips() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [(np.linspace(0, 1, n) ** 2 * rng.normal(0, 0.1, n)).astype(np.float32) for n in LENGTHS]


def relative_error(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def test_a_clip_embeds_as_there(pair: tuple[Any, nn.Module]) -> None:
    original, ours = pair
    for clip in clips():
        assert relative_error(embed(ours, [clip])[0], original(clip)) < 1e-4


def test_a_clip_embeds_alike_alone_and_among_longer_ones(pair: tuple[Any, nn.Module]) -> None:
    original, ours = pair
    for clip, together in zip(clips(), embed(ours, clips()), strict=True):
        assert relative_error(together, original(clip)) < 1e-4


def test_the_shortest_clip_has_a_finite_embedding(pair: tuple[Any, nn.Module]) -> None:
    assert np.isfinite(embed(pair[1], [clips()[-1][-MIN_SAMPLES:]])).all()


def test_another_network_s_weights_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "linear.pt")
    with pytest.raises(InvalidArgument, match=r"does not hold a CAM\+\+"):
        read_weights(tmp_path / "linear.pt")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(InvalidArgument, match="not a checkpoint of 3D-Speaker's"):
        read_weights(tmp_path / "text.pt")
