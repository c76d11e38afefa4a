"""CAM++ (Wang et al., 2023) as 3D-Speaker builds it, so that its weights embed here as they do there.

A convolution sees zeros past both ends of a clip, as it does in 3D-Speaker for a clip by itself: a clip embeds alike alone
and padded in a batch. Shapes are (batch, n_channels, n_steps), masks (batch, 1, n_steps) floats, unless said.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from model.errors import InvalidArgument
from model.features import frame_mask
from model.waveform import SAMPLE_RATE_HZ
from training.importers.kaldi_fbank import CONVENTIONS, FbankConfig, KaldiFbank
from training.importers.tensors import read_tensors

N_SEGMENT_STEPS: Final[int] = 100
"""The context of a step is the mean over the clip and over its own segment of so many steps."""
MIN_FRAMES = 3
"""They make the two steps that a standard deviation takes."""
KERNELS_AND_DILATIONS: Final = ((3, 1), (3, 2), (3, 2))


@dataclass(frozen=True)
class CamPlusPlusConfig:
    """Shape of a CamPlusPlus. The defaults are those of 3D-Speaker's published encoder of Chinese and English."""

    n_mels: int = 80
    n_channels_2d: int = 32
    n_first: int = 128
    n_grown: int = 32
    """Channels that each layer of a block adds."""
    n_bottleneck: int = 128
    layers: tuple[int, ...] = (12, 24, 16)
    """Of each block."""
    n_embedding: int = 192


def _norm_1d(n_channels: int) -> nn.ModuleDict:
    return nn.ModuleDict({"batchnorm": nn.BatchNorm1d(n_channels)})


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut; strides halve the mel bands alone. (batch, n, n_mels, n_frames)."""

    def __init__(self, n_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_channels, n_channels, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_channels)
        self.conv2 = nn.Conv2d(n_channels, n_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_channels)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(n_channels, n_channels, 1, (stride, 1), bias=False), nn.BatchNorm2d(n_channels)
            )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x))) * mask
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x)) * mask


class Head(nn.Module):
    """(batch, 1, n_mels, n_frames) -> (batch, n_channels_2d * n_mels / 8, n_frames)."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, n_channels, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_channels)
        self.layer1 = nn.ModuleList([ResidualBlock(n_channels, 2), ResidualBlock(n_channels, 1)])
        self.layer2 = nn.ModuleList([ResidualBlock(n_channels, 2), ResidualBlock(n_channels, 1)])
        self.conv2 = nn.Conv2d(n_channels, n_channels, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_channels)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        mask = mask.unsqueeze(1)
        x = torch.relu(self.bn1(self.conv1(features.unsqueeze(1) * mask))) * mask
        for block in self.layer1:
            x = block(x, mask)
        for block in self.layer2:
            x = block(x, mask)
        x = torch.relu(self.bn2(self.conv2(x))) * mask
        return x.flatten(1, 2)


class ContextMask(nn.Module):
    """A convolution over time whose output channels are weighted, step by step, by what surrounds the step."""

    n_segment: Final[int] = N_SEGMENT_STEPS

    def __init__(self, n_in: int, n_out: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        padding = dilation * (kernel_size - 1) // 2
        self.linear_local = nn.Conv1d(n_in, n_out, kernel_size, padding=padding, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(n_in, n_in // 2, 1)
        self.linear2 = nn.Conv1d(n_in // 2, n_out, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x * mask
        context = x.sum(dim=2, keepdim=True) / mask.sum(dim=2, keepdim=True) + self.segment_means(x, mask)
        weight = torch.sigmoid(self.linear2(torch.relu(self.linear1(context))))
        return self.linear_local(x) * weight

    def segment_means(self, x: Tensor, mask: Tensor) -> Tensor:
        """Of `x`, zero past each clip; the last segment is as long as what is left of the clip."""
        n_steps = x.size(2)
        n_segments = (n_steps + self.n_segment - 1) // self.n_segment
        missing = n_segments * self.n_segment - n_steps
        shape = (x.size(0), -1, n_segments, self.n_segment)
        sums = nn.functional.pad(x, (0, missing)).view(shape).sum(dim=3)
        counts = nn.functional.pad(mask, (0, missing)).view(shape).sum(dim=3)
        return (sums / counts.clamp(min=1.0)).repeat_interleave(self.n_segment, dim=2)[:, :, :n_steps]


class DenseLayer(nn.Module):
    def __init__(self, n_in: int, n_bottleneck: int, n_out: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _norm_1d(n_in)
        self.linear1 = nn.Conv1d(n_in, n_bottleneck, 1, bias=False)
        self.nonlinear2 = _norm_1d(n_bottleneck)
        self.cam_layer = ContextMask(n_bottleneck, n_out, kernel_size, dilation)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.linear1(torch.relu(self.nonlinear1["batchnorm"](x)))
        return self.cam_layer(torch.relu(self.nonlinear2["batchnorm"](x)), mask)


class DenseBlock(nn.Module):
    """Every layer sees all that came before it, and half of the channels go on."""

    def __init__(self, n_in: int, n_layers: int, config: CamPlusPlusConfig, kernel_size: int, dilation: int) -> None:
        super().__init__()
        sizes = [n_in + i * config.n_grown for i in range(n_layers)]
        self.layers = nn.ModuleList(
            [DenseLayer(n, config.n_bottleneck, config.n_grown, kernel_size, dilation) for n in sizes]
        )
        self.n_out: int = (sizes[-1] + config.n_grown) // 2
        self.nonlinear = _norm_1d(sizes[-1] + config.n_grown)
        self.linear = nn.Conv1d(sizes[-1] + config.n_grown, self.n_out, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x, mask)], dim=1)
        return self.linear(torch.relu(self.nonlinear["batchnorm"](x)))


class CamPlusPlus(nn.Module):
    """features (batch, n_mels, n_frames), lengths (batch,) frames, MIN_FRAMES or more -> (batch, n_embedding), not scaled."""

    def __init__(self, config: CamPlusPlusConfig) -> None:
        super().__init__()
        self.head = Head(config.n_channels_2d)
        self.first = nn.Conv1d(config.n_channels_2d * config.n_mels // 8, config.n_first, 5, 2, 2, bias=False)
        self.first_norm = _norm_1d(config.n_first)
        blocks: list[DenseBlock] = []
        n_channels = config.n_first
        for n_layers, (kernel_size, dilation) in zip(config.layers, KERNELS_AND_DILATIONS, strict=True):
            blocks.append(DenseBlock(n_channels, n_layers, config, kernel_size, dilation))
            n_channels = blocks[-1].n_out
        self.blocks = nn.ModuleList(blocks)
        self.out_nonlinear = _norm_1d(n_channels)
        self.dense = nn.Conv1d(2 * n_channels, config.n_embedding, 1, bias=False)
        self.dense_norm = nn.BatchNorm1d(config.n_embedding, affine=False)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        mask = frame_mask(lengths, features.size(2)).unsqueeze(1).to(features.dtype)
        x = self.first(self.head(features, mask))
        n_steps = torch.div(lengths - 1, 2, rounding_mode="floor") + 1
        mask = frame_mask(n_steps, x.size(2)).unsqueeze(1).to(x.dtype)
        x = torch.relu(self.first_norm["batchnorm"](x)) * mask
        for block in self.blocks:
            x = block(x, mask)
        x = torch.relu(self.out_nonlinear["batchnorm"](x)) * mask
        n = mask.sum(dim=2)
        mean = x.sum(dim=2) / n
        variance = ((x - mean.unsqueeze(2)).square() * mask).sum(dim=2) / (n - 1.0).clamp(min=1.0)
        statistics = torch.cat([mean, variance.sqrt()], dim=1)
        return self.dense_norm(self.dense(statistics.unsqueeze(2)).squeeze(2))


class CamPlusPlusEncoder(nn.Module):
    """samples (batch, n_samples) float32 at 16 kHz, lengths (batch,) int64 samples -> (batch, n_embedding).

    The features of a clip too short for a standard deviation are repeated.
    """

    def __init__(self, config: CamPlusPlusConfig) -> None:
        super().__init__()
        self.config = config
        self.fbank = KaldiFbank(_fbank_config(config), MIN_FRAMES)
        self.network = CamPlusPlus(config)

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        # Each clip's own frames: the bank subtracts a mean over the clip, which padding must not enter.
        features: list[Tensor] = []
        counts: list[int] = []
        for i in range(samples.size(0)):
            clip = self.fbank(samples[i : i + 1, : int(lengths[i])])[0]
            features.append(clip)
            counts.append(clip.size(0))
        padded = nn.utils.rnn.pad_sequence(features, batch_first=True).transpose(1, 2)
        return self.network(padded, torch.tensor(counts, device=samples.device))


def read_weights(path: Path) -> CamPlusPlusEncoder:
    """The encoder of a state dict that 3D-Speaker saved. Raises InvalidArgument where the file holds something else."""
    weights = read_tensors(path, "3D-Speaker")
    module = CamPlusPlusEncoder(_config_of(weights, path))
    try:
        module.network.load_state_dict({_our_name(name): tensor for name, tensor in weights.items()})
    except RuntimeError as error:
        raise InvalidArgument(f"{path} does not hold a CAM++ as 3D-Speaker builds it: {error}") from error
    return module.eval()


def describe_front_end(config: CamPlusPlusConfig) -> dict[str, Any]:
    return {"kind": "kaldi fbank", "sample_rate_hz": SAMPLE_RATE_HZ, **asdict(_fbank_config(config))}


def _fbank_config(config: CamPlusPlusConfig) -> FbankConfig:
    return replace(CONVENTIONS["3d-speaker"], n_mels=config.n_mels)


def describe_network(config: CamPlusPlusConfig) -> dict[str, Any]:
    return {"kind": "CAM++", **asdict(config)}


def _our_name(name: str) -> str:
    """3D-Speaker numbers its blocks and layers from 1 and keeps the halving after a block outside it."""
    name = re.sub(
        r"^xvector\.block(\d+)\.tdnnd(\d+)\.", lambda m: f"blocks.{int(m[1]) - 1}.layers.{int(m[2]) - 1}.", name
    )
    name = re.sub(r"^xvector\.transit(\d+)\.", lambda m: f"blocks.{int(m[1]) - 1}.", name)
    for theirs, ours in (
        ("xvector.tdnn.linear.", "first."),
        ("xvector.tdnn.nonlinear.", "first_norm."),
        ("xvector.out_nonlinear.", "out_nonlinear."),
        ("xvector.dense.linear.", "dense."),
        ("xvector.dense.nonlinear.batchnorm.", "dense_norm."),
    ):
        if name.startswith(theirs):
            return ours + name[len(theirs) :]
    return name


def _config_of(weights: Mapping[str, Any], path: Path) -> CamPlusPlusConfig:
    """The network's shape, read off its weights."""

    def shape(name: str) -> tuple[int, ...]:
        return tuple(weights[name].shape)

    try:
        n_channels_2d = shape("head.conv1.weight")[0]
        first = shape("xvector.tdnn.linear.weight")
        layer = "xvector.block1.tdnnd1."
        blocks = range(1, len(KERNELS_AND_DILATIONS) + 1)
        return CamPlusPlusConfig(
            n_mels=8 * first[1] // n_channels_2d,
            n_channels_2d=n_channels_2d,
            n_first=first[0],
            n_grown=shape(layer + "cam_layer.linear_local.weight")[0],
            n_bottleneck=shape(layer + "linear1.weight")[0],
            layers=tuple(
                len({name.split(".")[2] for name in weights if name.startswith(f"xvector.block{i}.tdnnd")})
                for i in blocks
            ),
            n_embedding=shape("xvector.dense.linear.weight")[0],
        )
    except (KeyError, IndexError, AttributeError) as error:
        raise InvalidArgument(f"{path} does not hold a CAM++ as 3D-Speaker builds it: no {error}") from error
