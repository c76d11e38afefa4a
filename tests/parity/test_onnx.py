"""An imported ONNX encoder embeds as torchaudio's Kaldi features and the network that was exported do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torchaudio.compliance import kaldi

from model.bundle_encoder import open_encoder_in
from model.embedding import embed
from tiny_graph import StatisticsEncoder, write_graph
from training.importers.folder import read_import
from training.importers.imported import Provenance, write_import
from training.importers.kaldi_fbank import CONVENTIONS, FbankConfig, KaldiFbank
from training.importers.onnx import read_graph

FEATURES = {
    **CONVENTIONS,
    "hanning, mean kept": FbankConfig(window="hanning", scale="int16", subtract_mean=False),
}


def expected(network: nn.Module, config: FbankConfig, clip: np.ndarray) -> np.ndarray:
    samples = torch.from_numpy(clip).unsqueeze(0) * (1 << 15 if config.scale == "int16" else 1)
    features = kaldi.fbank(samples, num_mel_bins=config.n_mels, window_type=config.window, dither=0.0)
    if config.subtract_mean:
        features = features - features.mean(dim=0)
    with torch.inference_mode():
        found: np.ndarray = network(features.unsqueeze(0))[0].numpy()
    return found


def clips() -> list[np.ndarray]:
    """From loud to so quiet that Kaldi's floor under the logarithm counts."""
    rng = np.random.default_rng(1)
    return [
        (level * rng.normal(0.1, 1, n)).astype(np.float32)
        for level, n in ((0.3, 8_000), (0.05, 16_000), (1e-4, 24_123), (1e-6, 48_000))
    ]


@pytest.mark.parametrize("name", list(FEATURES))
def test_a_clip_embeds_as_by_torchaudio_and_torch_alone_and_in_a_batch(name: str, tmp_path: Path) -> None:
    config, network = FEATURES[name], StatisticsEncoder().eval()
    provenance = Provenance("a test", "00", "none", ("noise",))
    graph = read_graph(write_graph(tmp_path / "graph.onnx", network), config, provenance)
    folder = write_import(graph, tmp_path / "bundle", name="graph")
    encoder = open_encoder_in(folder, read_import(folder)["about"])
    together = embed(encoder, clips())
    for clip, row in zip(clips(), together, strict=True):
        reference = expected(network, config, clip)
        assert np.abs(row - reference).max() <= 1e-4
        assert np.abs(embed(encoder, [clip])[0] - reference).max() <= 1e-4


def test_the_features_are_kaldis_to_a_bit_of_rounding() -> None:
    for config in FEATURES.values():
        for clip in clips():
            samples = torch.from_numpy(clip).unsqueeze(0)
            scaled = samples * (1 << 15 if config.scale == "int16" else 1)
            found = KaldiFbank(config)(samples)[0]
            reference = kaldi.fbank(scaled, num_mel_bins=80, window_type=config.window, dither=0.0)
            if config.subtract_mean:
                reference = reference - reference.mean(dim=0)
            assert (found - reference).abs().max() <= 1e-3
