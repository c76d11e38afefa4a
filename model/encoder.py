"""SiameseEncoder: CNN -> RNN -> pooling -> embedding, and the similarity of a pair.

Both clips of a pair go through the same weights. An encoder may end in two branches: one learns to tell the training
speakers apart, the other to say what a teacher says; they err differently, and the embedding is both. Everything here
is length-aware: a clip embeds alike alone and zero-padded in a batch. These modules are scripted (`torchscript.py`),
hence the plain `Tensor` annotations.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from model.features import LogMel, Normalise, frame_mask, n_frames

POOLINGS = ("mean", "attentive_statistics")
DOWNSAMPLINGS = ("stride", "max_pool")


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of a SiameseEncoder; stored in the bundle's card."""

    n_mels: int = 80
    normalisation: str = "mean"
    channels: tuple[int, ...] = (32, 48, 64, 96, 128)
    """Output channels of each CNN block."""
    strides_mel: tuple[int, ...] = (2, 2, 2, 2, 2)
    """Downsampling of each block along the mel axis."""
    strides_time: tuple[int, ...] = (2, 2, 1, 1, 1)
    """Downsampling of each block along time."""
    downsampling: str = "stride"
    residual: tuple[int, ...] = (0, 0, 0, 0, 0)
    """Residual 3x3 pairs after each block's downsampling convolution."""
    n_projected: int = 0
    """Features of a step that a linear layer leaves the LSTM; 0 has no such layer: the LSTM takes all of the CNN's."""
    n_hidden: int = 160
    """LSTM units in each direction."""
    pooling: str = "attentive_statistics"
    n_embedding: int = 192
    n_taught: int = 0
    """Elements of the embedding that come from a branch of their own, which a teacher trains; 0 has one branch."""
    taught_share: float = 0.5
    """Of the taught branch in the cosine of two embeddings; the rest is the other branch's."""
    n_branch_blocks: int = 1
    """CNN blocks, the last ones, that each of two branches has for itself."""
    unit_norm: bool = True
    """Scale embeddings to length 1. The article measures the raw distance, so its recipe does not."""
    pair_head: bool = False
    """Whether a linear layer gives the scalar similarity of a pair (the article's)."""

    def __post_init__(self) -> None:
        n_blocks = len(self.channels)
        if not n_blocks or any(len(x) != n_blocks for x in (self.strides_mel, self.strides_time, self.residual)):
            raise ValueError("channels, strides_mel, strides_time and residual need one entry for each CNN block")
        sizes = (self.n_mels, self.n_hidden, self.n_embedding)
        if min(*self.channels, *self.strides_mel, *self.strides_time, *sizes) < 1 or self.n_projected < 0:
            raise ValueError("channels, strides and sizes are at least 1; n_projected may be 0")
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is one of {', '.join(POOLINGS)}; got {self.pooling!r}")
        if self.downsampling not in DOWNSAMPLINGS:
            raise ValueError(f"downsampling is one of {', '.join(DOWNSAMPLINGS)}; got {self.downsampling!r}")
        if not 0 <= self.n_taught < self.n_embedding:
            raise ValueError("n_taught is a part of n_embedding: at least 0, and less")
        if self.n_taught and not self.unit_norm:
            raise ValueError("a taught branch needs unit_norm: its share is one of the cosine")
        if not 0.0 < self.taught_share < 1.0:
            raise ValueError("taught_share is between 0 and 1")
        if self.n_taught and self.pair_head:
            raise ValueError("a pair head and a taught branch do not go together")
        if self.n_taught and not 0 <= self.n_branch_blocks < n_blocks:
            raise ValueError("n_branch_blocks leaves at least one CNN block to both branches")

    @property
    def n_own(self) -> int:
        """Elements of the embedding that learn from the labels; they come first."""
        return self.n_embedding - self.n_taught


class Residual(nn.Module):
    """Two 3x3 convolutions beside a skip; padding is zeroed between them, as a lone clip's border would be."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(n_channels, n_channels, 3, padding=1, bias=False)
        self.norm_1 = nn.BatchNorm2d(n_channels)
        self.conv_2 = nn.Conv2d(n_channels, n_channels, 3, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(n_channels)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = torch.relu(self.norm_1(self.conv_1(x)))
        if mask is not None:
            y = y * mask
        y = torch.relu(self.norm_2(self.conv_2(y)) + x)
        return y if mask is None else y * mask


class Block(nn.Module):
    """3x3 convolution, batch norm, ReLU and downsampling by a stride or by max pooling, then residual pairs.

    x (batch, channels, n_mels, n_steps) and lengths (batch,) steps -> the same two, downsampled. Steps past a
    clip's length are zero on the way in and on the way out; `is_full` says that no clip has any.
    """

    def __init__(self, n_in: int, n_out: int, stride: tuple[int, int], downsampling: str, n_residual: int) -> None:
        super().__init__()
        self.pool = downsampling == "max_pool"
        self.stride_time = stride[1]
        conv_stride = (1, 1) if self.pool else stride
        self.conv = nn.Conv2d(n_in, n_out, 3, stride=conv_stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(n_out)
        self.max_pool = nn.MaxPool2d(stride) if self.pool else nn.Identity()
        self.residuals = nn.ModuleList([Residual(n_out) for _ in range(n_residual)])

    def forward(self, x: Tensor, lengths: Tensor, is_full: bool) -> tuple[Tensor, Tensor]:
        x = self.max_pool(torch.relu(self.norm(self.conv(x))))
        if self.pool:
            lengths = torch.div(lengths, self.stride_time, rounding_mode="floor")
        else:  # a padded 3-wide convolution: ceil(n / stride)
            lengths = torch.div(lengths + self.stride_time - 1, self.stride_time, rounding_mode="floor")
        mask: Tensor | None = None
        if not is_full:
            mask = frame_mask(lengths, x.size(3)).unsqueeze(1).unsqueeze(1).to(x.dtype)
            x = x * mask
        for residual in self.residuals:
            x = residual(x, mask)
        return x, lengths


class MeanPooling(nn.Module):
    """Mean over real steps: (batch, n_steps, n_features), (batch, n_steps) -> (batch, n_features)."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_out = n_features

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        weight = mask.to(x.dtype).unsqueeze(2)
        return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)


class AttentiveStatistics(nn.Module):
    """Attention-weighted mean and standard deviation over real steps (Okabe et al., 2018).

    (batch, n_steps, n_features), (batch, n_steps) -> (batch, 2 * n_features).
    """

    def __init__(self, n_features: int, n_attention: int = 64) -> None:
        super().__init__()
        self.n_out = 2 * n_features
        self.hidden = nn.Linear(n_features, n_attention)
        self.weight = nn.Linear(n_attention, n_features)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        logits = self.weight(torch.tanh(self.hidden(x)))
        logits = logits.masked_fill(~mask.unsqueeze(2), -1e4)
        alpha = torch.softmax(logits, dim=1)
        mean = (alpha * x).sum(dim=1)
        variance = (alpha * x.square()).sum(dim=1) - mean.square()
        return torch.cat([mean, variance.clamp(min=1e-6).sqrt()], dim=1)


@dataclass(frozen=True)
class Shape:
    """Of what a CNN block gives: (batch, n_channels, n_mels, n_steps)."""

    n_channels: int
    n_mels: int


def make_blocks(config: EncoderConfig, numbers: range, shape: Shape) -> tuple[nn.ModuleList, Shape]:
    """Those blocks of the config on top of `shape`, and the shape they give."""
    blocks = nn.ModuleList()
    for i in numbers:
        stride_mel, n_out = config.strides_mel[i], config.channels[i]
        stride = (stride_mel, config.strides_time[i])
        blocks.append(Block(shape.n_channels, n_out, stride, config.downsampling, config.residual[i]))
        floor, ceil = shape.n_mels // stride_mel, -(-shape.n_mels // stride_mel)
        shape = Shape(n_out, floor if config.downsampling == "max_pool" else ceil)
    return blocks, shape


class Branch(nn.Module):
    """CNN blocks of its own, if any -> BiLSTM -> pooling -> embedding.

    x (batch, channels, n_mels, n_steps) and lengths (batch,) steps -> (batch, n_out), of any length. `is_full` says
    that every length is n_steps.
    """

    def __init__(self, config: EncoderConfig, blocks: nn.ModuleList, shape: Shape, n_out: int) -> None:
        super().__init__()
        self.blocks = blocks
        n_in = shape.n_channels * shape.n_mels
        self.projection = nn.Linear(n_in, config.n_projected) if config.n_projected else nn.Identity()
        self.lstm = nn.LSTM(config.n_projected or n_in, config.n_hidden, batch_first=True, bidirectional=True)
        pooling = MeanPooling if config.pooling == "mean" else AttentiveStatistics
        self.pooling = pooling(2 * config.n_hidden)
        self.embedding = nn.Linear(self.pooling.n_out, n_out)
        self.embedding_norm = nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor, lengths: Tensor, is_full: bool) -> Tensor:
        for block in self.blocks:
            x, lengths = block(x, lengths, is_full)
        n_steps = x.size(3)
        x = self.projection(x.permute(0, 3, 1, 2).flatten(2))  # (batch, n_steps, channels * n_mels or n_projected)
        lengths = lengths.clamp(min=1)
        if is_full:  # nothing to leave out, and packing costs as much as half the LSTM
            x = self.lstm(x)[0]
        else:
            packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
            x, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=n_steps)
        embeddings: Tensor = self.embedding_norm(self.embedding(self.pooling(x, frame_mask(lengths, n_steps))))
        return embeddings


class SiameseEncoder(nn.Module):
    """Log-mel of a clip -> its embedding; the pair head maps two embeddings to a similarity logit."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.normalise = Normalise(config.normalisation)
        n_blocks = len(config.channels)
        fork = n_blocks - config.n_branch_blocks if config.n_taught else n_blocks
        self.blocks, shape = make_blocks(config, range(fork), Shape(1, config.n_mels))
        sizes = [config.n_own, config.n_taught] if config.n_taught else [config.n_own]
        of_branches = [make_blocks(config, range(fork, n_blocks), shape) for _ in sizes]
        self.branches = nn.ModuleList(
            [Branch(config, *of_branch, size) for of_branch, size in zip(of_branches, sizes, strict=True)]
        )
        shares = [1.0 - config.taught_share, config.taught_share] if config.n_taught else [1.0]
        self.scales = [math.sqrt(share) for share in shares]
        self.unit_norm = config.unit_norm
        self.n_frames_per_step = math.prod(config.strides_time)
        self.pair_head = nn.Linear(config.n_embedding, 1) if config.pair_head else nn.Identity()

    def forward(self, log_mel: Tensor, lengths: Tensor) -> Tensor:
        """log_mel (batch, n_mels, n_frames), lengths (batch,) frames -> embeddings (batch, n_embedding)."""
        x = self.normalise(log_mel, lengths).unsqueeze(1)
        if x.size(3) < self.n_frames_per_step:  # pooling would leave no step at all
            x = nn.functional.pad(x, (0, self.n_frames_per_step - x.size(3)))
        is_full = int(lengths.min()) == x.size(3)  # as a clip alone is: multiplying by ones would cost a tenth
        for block in self.blocks:
            x, lengths = block(x, lengths, is_full)
        parts: list[Tensor] = []
        for i, branch in enumerate(self.branches):
            part = branch(x, lengths, is_full)
            if self.unit_norm:
                part = nn.functional.normalize(part, dim=1) * self.scales[i]
            parts.append(part)
        return torch.cat(parts, dim=1)

    def similarity_logit(self, a: Tensor, b: Tensor) -> Tensor:
        """Embeddings (batch, n_embedding) twice -> (batch,) logit that each pair is one speaker.

        The head sees |a - b|, so the order of the pair does not matter.
        """
        return self.pair_head((a - b).abs()).squeeze(1)


class WaveformEncoder(nn.Module):
    """What a bundle ships: samples in, embeddings out, the mel front end inside."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.log_mel = LogMel(config.n_mels)
        self.encoder = SiameseEncoder(config)

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """samples (batch, n_samples) float32 at 16 kHz, lengths (batch,) int64 samples -> (batch, n_embedding)."""
        return self.encoder(self.log_mel(samples), n_frames(lengths))
