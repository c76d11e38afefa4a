"""The encoder as an ONNX graph, which a fast CPU engine runs: one clip of samples in, its embedding out.

The weights are those of the TorchScript encoder; only what one clip alone does not need is gone: lengths, masks and
packing. ONNX has no fast Fourier transform that its engines run well, so the front end's is a product with a matrix.
"""

from __future__ import annotations

import math
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.bundle import ENGINE_GRAPH, load_bundle, seal_card
from model.bundle_encoder import open_encoder_in
from model.encoder import EncoderConfig, WaveformEncoder
from model.errors import InvalidArgument
from model.features import N_FFT, N_HOP_SAMPLES, N_WINDOW_SAMPLES, LogMel
from model.onnx_encoder import MAX_DIFFERENCE, EngineEncoder, largest_difference
from model.waveform import SAMPLE_RATE_HZ
from training.fusion import fuse_norms
from training.whole_folder import written_whole

OPSET = 18
INPUT = "samples"
OUTPUT = "embedding"

_N_PIECE_SAMPLES = math.gcd(N_WINDOW_SAMPLES, N_HOP_SAMPLES)
_N_HALF = N_WINDOW_SAMPLES // 2


class FoldedLogMel(nn.Module):
    """`model.features.LogMel` without an FFT: (1, n_samples) -> (1, n_mels, n_frames), n_samples at least one window.

    Power does not depend on where a frame's time begins. Counted from its middle, cosines are even and sines odd, and
    the window is even: so the two halves of a frame are folded onto each other before the product, which halves it.
    """

    filters: Tensor
    cosines: Tensor
    sines: Tensor
    mirror: Tensor

    def __init__(self, log_mel: LogMel) -> None:
        super().__init__()
        self.floor = log_mel.floor
        is_heard = (log_mel.filters > 0).any(dim=0)
        self.register_buffer("filters", log_mel.filters[:, is_heard].clone())  # (n_mels, n_bins)
        bins = torch.arange(N_FFT // 2 + 1, dtype=torch.float64)[is_heard]
        times = torch.arange(_N_HALF, dtype=torch.float64) - (N_WINDOW_SAMPLES - 1) / 2
        angles = 2 * math.pi / N_FFT * times.unsqueeze(1) * bins
        window = log_mel.window[:_N_HALF].double().unsqueeze(1)
        self.register_buffer("cosines", (window * angles.cos()).float())  # (window / 2, n_bins)
        self.register_buffer("sines", (window * angles.sin()).float())
        # As a product, since engines gather single samples slowly.
        self.register_buffer("mirror", torch.eye(_N_PIECE_SAMPLES).flip(1))

    def forward(self, samples: Tensor) -> Tensor:
        n_frames = (samples.size(1) - N_WINDOW_SAMPLES) // N_HOP_SAMPLES + 1
        # A frame is a row of pieces as long as window and hop have in common: slices of a matrix, which copy fast.
        pieces = samples[:, : samples.size(1) // _N_PIECE_SAMPLES * _N_PIECE_SAMPLES].reshape(-1, _N_PIECE_SAMPLES)
        mirrored = torch.matmul(pieces, self.mirror)
        step, last = N_HOP_SAMPLES // _N_PIECE_SAMPLES, N_WINDOW_SAMPLES // _N_PIECE_SAMPLES - 1
        stop = (n_frames - 1) * step + 1
        numbers = range(-(-_N_HALF // _N_PIECE_SAMPLES))  # of the pieces that the first half of a frame has a part in
        front = torch.cat([pieces[k : k + stop : step] for k in numbers], dim=1)[:, :_N_HALF]
        back = torch.cat([mirrored[last - k : last - k + stop : step] for k in numbers], dim=1)[:, :_N_HALF]
        even, odd = torch.matmul(front + back, self.cosines), torch.matmul(front - back, self.sines)
        power = even * even + odd * odd
        return torch.log(torch.matmul(self.filters, power.transpose(0, 1)) + self.floor).unsqueeze(0)


class LoneClip(nn.Module):
    """samples (1, n_samples) float32 at 16 kHz -> (1, n_embedding), as the encoder embeds one clip alone."""

    def __init__(self, encoder: WaveformEncoder) -> None:
        super().__init__()
        self.log_mel = FoldedLogMel(encoder.log_mel)
        self.encoder = encoder.encoder

    def forward(self, samples: Tensor) -> Tensor:
        log_mel = self.log_mel(samples)
        # Not torch.tensor, which would write the example's length into the graph.
        embedding: Tensor = self.encoder(log_mel, torch.full((1,), log_mel.size(2)))
        return embedding


def export_graph(encoder: WaveformEncoder, path: Path) -> float:
    """Writes the graph of an encoder in evaluation mode, for clips of every length from one window on.

    Returns the largest difference of any element of an embedding from the encoder's own. Raises InvalidArgument where
    that is more than 1e-4.
    """
    second = torch.zeros(1, SAMPLE_RATE_HZ)
    with warnings.catch_warnings():
        # It warns that its successor is here, which cannot leave the length open where an LSTM follows, and that other
        # lengths than the example's may fail, which is checked below.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            LoneClip(encoder).eval(),
            (second,),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {1: "n_samples"}},
            opset_version=OPSET,
            dynamo=False,
        )
    difference = largest_difference(encoder, EngineEncoder(path))
    if not difference <= MAX_DIFFERENCE:
        raise InvalidArgument(
            f"the graph differs from the encoder by {difference:.2g} in an element of an embedding; at most "
            f"{MAX_DIFFERENCE:g} is allowed"
        )
    return difference


def add_graph(folder: Path) -> float:
    """Adds the graph to a bundle that `export` wrote, whole or not at all; encoder, calibration and ids stay.

    Returns the largest difference of any element of an embedding from the TorchScript encoder's. Raises InvalidArgument
    where the bundle's encoder is an imported one, or the graph does not agree with it.
    """
    folder = folder.resolve()
    bundle = load_bundle(folder)
    try:
        config = EncoderConfig(**{name: _tuple(value) for name, value in bundle.card["encoder"].items()})
        encoder = WaveformEncoder(config).eval()
    except (KeyError, TypeError) as error:
        raise InvalidArgument(f"the encoder of {folder} is an imported one, which has no graph of ours") from error
    exported = open_encoder_in(folder, bundle.card)
    weights = exported.state_dict()
    if weights.keys() != encoder.state_dict().keys():
        fuse_norms(encoder.encoder)  # as `export` does
    encoder.load_state_dict(weights)
    with written_whole(folder) as fresh:
        shutil.copytree(folder, fresh, dirs_exist_ok=True)
        difference = export_graph(encoder, fresh / ENGINE_GRAPH)
        prose = bundle.prose
        seal_card(fresh, dict(bundle.card), None if prose is None else lambda _: prose)
        load_bundle(fresh)
    return difference


def _tuple(value: Any) -> Any:
    """JSON knows lists only."""
    return tuple(value) if isinstance(value, list) else value
