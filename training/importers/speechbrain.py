"""SpeechBrain's ECAPA-TDNN recipe: a folder with `embedding_model.ckpt`, in the format of its checkpointer.

SpeechBrain is not needed. What is taken for granted of the recipe is its front end (Fbank with its defaults, sentence
mean normalisation); the network's shape is read off the weights, and its dilations from `hyperparams.yaml` where it
is there.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from model.errors import InvalidArgument
from model.features import frame_mask
from model.waveform import SAMPLE_RATE_HZ
from training.importers.ecapa import Ecapa, EcapaConfig
from training.importers.tensors import read_tensors

WEIGHTS = "embedding_model.ckpt"
MEAN = "mean_var_norm_emb.ckpt"
SETTINGS = "hyperparams.yaml"

N_WINDOW_SAMPLES: Final[int] = 400
N_HOP_SAMPLES: Final[int] = 160
POWER_FLOOR: Final[float] = 1e-10
TOP_DB: Final[float] = 80.0
"""Everything quieter than this below the clip's loudest band is raised to it."""


class SpeechBrainFbank(nn.Module):
    """Mel bands in dB less each band's mean over the clip: (batch, n_samples) -> (batch, n_mels, n_frames).

    Frame t is centred on sample t * hop, with zeros around the clip.
    """

    n_window: Final[int] = N_WINDOW_SAMPLES
    n_hop: Final[int] = N_HOP_SAMPLES
    floor: Final[float] = POWER_FLOOR
    top_db: Final[float] = TOP_DB
    window: Tensor
    filters: Tensor

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hamming_window(N_WINDOW_SAMPLES))
        self.register_buffer("filters", triangular_filters(n_mels))

    def forward(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """lengths (batch,) samples -> the features, zero past each clip, and their lengths in frames."""
        samples = samples * frame_mask(lengths, samples.size(1)).to(samples.dtype)
        half = self.n_window // 2
        frames = nn.functional.pad(samples, (half, half)).unfold(1, self.n_window, self.n_hop) * self.window
        power = torch.view_as_real(torch.fft.rfft(frames, n=self.n_window)).square().sum(dim=-1)
        bands_db = 10.0 * torch.log10(torch.matmul(power, self.filters).clamp(min=self.floor)).transpose(1, 2)
        n_frames = torch.div(lengths, self.n_hop, rounding_mode="floor") + 1
        mask = frame_mask(n_frames, bands_db.size(2)).unsqueeze(1)
        loudest = bands_db.masked_fill(~mask, -float("inf")).amax(dim=(1, 2), keepdim=True)
        bands_db = torch.maximum(bands_db, loudest - self.top_db) * mask
        mean = bands_db.sum(dim=2, keepdim=True) / n_frames.view(-1, 1, 1)
        return (bands_db - mean) * mask, n_frames


def triangular_filters(n_mels: int) -> Tensor:
    """(n_bins, n_mels): triangles evenly spaced in mel from 0 Hz to Nyquist, each as wide to the right as to the left."""
    nyquist = SAMPLE_RATE_HZ // 2
    mel = torch.linspace(0.0, 2595 * math.log10(1 + nyquist / 700), n_mels + 2)
    hz = 700 * (10 ** (mel / 2595) - 1)
    centre, width = hz[1:-1], (hz[1:] - hz[:-1])[:-1]
    bins = torch.linspace(0, nyquist, N_WINDOW_SAMPLES // 2 + 1).unsqueeze(1)
    slope = (bins - centre) / width
    return torch.minimum(slope + 1.0, 1.0 - slope).clamp(min=0.0)


class SpeechBrainEncoder(nn.Module):
    """samples (batch, n_samples) float32 at 16 kHz, lengths (batch,) int64 samples -> (batch, n_embedding)."""

    mean: Tensor

    def __init__(self, config: EcapaConfig, mean: Tensor | None = None) -> None:
        """`mean` (n_embedding,) is subtracted from every embedding, where it is given."""
        super().__init__()
        self.config = config
        self.fbank = SpeechBrainFbank(config.n_mels)
        self.network = Ecapa(config)
        self.register_buffer("mean", torch.zeros(config.n_embedding) if mean is None else mean)

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        features, n_frames = self.fbank(samples, lengths)
        return self.network(features, n_frames) - self.mean


def read_folder(folder: Path, *, centre: bool = False) -> SpeechBrainEncoder:
    """The encoder of a SpeechBrain folder; with `centre` its mean embedding is subtracted, as `encode_batch(normalize=True)` does.

    Raises InvalidArgument where the folder holds something else.
    """
    path = folder / WEIGHTS
    weights = read_tensors(path, "SpeechBrain")
    config = _config_of(weights, _dilations(folder), path)
    mean = read_tensors(folder / MEAN, "SpeechBrain").get("glob_mean") if centre else None
    if centre and (mean is None or mean.numel() != config.n_embedding):
        raise InvalidArgument(
            f"{folder / MEAN} does not hold the mean of embeddings of {config.n_embedding} dimensions"
        )
    module = SpeechBrainEncoder(config, None if mean is None else mean.detach().reshape(-1).float())
    try:
        module.network.load_state_dict({_our_name(name): tensor for name, tensor in weights.items()})
    except RuntimeError as error:
        raise InvalidArgument(f"{path} does not hold an ECAPA-TDNN as SpeechBrain builds it: {error}") from error
    return module.eval()


def describe_front_end(config: EcapaConfig) -> dict[str, Any]:
    return {
        "kind": "speechbrain.lobes.features.Fbank",
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "n_window_samples": N_WINDOW_SAMPLES,
        "n_hop_samples": N_HOP_SAMPLES,
        "n_mels": config.n_mels,
        "top_db": TOP_DB,
        "normalisation": "mean",
    }


def describe_network(config: EcapaConfig) -> dict[str, Any]:
    return {"kind": "ECAPA-TDNN", **asdict(config)}


def _our_name(name: str) -> str:
    """SpeechBrain wraps every convolution and batch norm in a module of its own; ours are bare."""
    bare = re.sub(r"\b(conv\d?|norm|asp_bn|fc|shortcut)\.(?:conv|norm)\.", r"\1.", name)
    if bare.startswith("blocks.0."):
        return bare.replace("blocks.0.", "first.", 1)
    match = re.match(r"blocks\.(\d+)\.", bare)
    return f"blocks.{int(match[1]) - 1}.{bare[match.end() :]}" if match else bare


def _config_of(weights: Mapping[str, Any], dilations: tuple[int, ...], path: Path) -> EcapaConfig:
    """The network's shape, read off its weights."""

    def shape(name: str) -> tuple[int, ...]:
        return tuple(weights[name].shape)

    try:
        n_blocks = len({name.split(".")[1] for name in weights if name.startswith("blocks.")}) - 1
        blocks = range(1, n_blocks + 1)
        first, mfa = shape("blocks.0.conv.conv.weight"), shape("mfa.conv.conv.weight")
        inner = [shape(f"blocks.{i}.res2net_block.blocks.0.conv.conv.weight") for i in blocks]
        scale = 1 + len({name.split(".")[4] for name in weights if name.startswith("blocks.1.res2net_block.blocks.")})
        attention = shape("asp.tdnn.conv.conv.weight")
        return EcapaConfig(
            n_mels=first[1],
            channels=(first[0], *(shape(f"blocks.{i}.tdnn1.conv.conv.weight")[0] for i in blocks), mfa[0]),
            kernel_sizes=(first[2], *(weight[2] for weight in inner), mfa[2]),
            dilations=dilations,
            n_attention=attention[0],
            n_squeezed=shape("blocks.1.se_block.conv1.conv.weight")[0],
            scale=scale,
            global_context=attention[1] == 3 * mfa[0],
            n_embedding=shape("fc.conv.weight")[0],
        )
    except (KeyError, IndexError, AttributeError, ValueError) as error:
        raise InvalidArgument(f"{path} does not hold an ECAPA-TDNN as SpeechBrain builds it: {error}") from error


def _dilations(folder: Path) -> tuple[int, ...]:
    """From the recipe's settings, which need SpeechBrain to be read whole; else those of its published encoder."""
    path = folder / SETTINGS
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    match = re.search(r"^\s*dilations:\s*\[([\d,\s]+)\]", text, re.MULTILINE)
    return tuple(int(cell) for cell in match[1].split(",")) if match else EcapaConfig.dilations
