"""SiameseEncoder: CNN -> RNN -> pooling -> embedding, and the similarity of a pair.

Both clips of a pair go through the same weights. Everything here is length-aware: a clip embeds alike alone and
zero-padded in a batch. These modules are scripted (`torchscript.py`), hence the plain `Tensor` annotations.
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
    n_hidden: int = 160
    """LSTM units in each direction."""
    pooling: str = "attentive_statistics"
    n_embedding: int = 192
    unit_norm: bool = True
    """Scale embeddings to length 1. The article measures the raw distance, so its recipe does not."""
    pair_head: bool = False
    """Whether a linear layer gives the scalar similarity of a pair (the article's)."""

    def __post_init__(self) -> None:
        n_blocks = len(self.channels)
        if not n_blocks or any(len(x) != n_blocks for x in (self.strides_mel, self.strides_time, self.residual)):
            raise ValueError("channels, strides_mel, strides_time and residual need one entry for each CNN block")
        if min(*self.channels, *self.strides_mel, *self.strides_time, self.n_mels, self.n_hidden, self.n_embedding) < 1:
            raise ValueError("channels, strides and sizes are at least 1")
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is one of {', '.join(POOLINGS)}; got {self.pooling!r}")
        if self.downsampling not in DOWNSAMPLINGS:
            raise ValueError(f"downsampling is one of {', '.join(DOWNSAMPLINGS)}; got {self.downsampling!r}")


class Residual(nn.Module):
    """Two 3x3 convolutions beside a skip; padding is zeroed between them, as a lone clip's border would be."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(n_channels, n_channels, 3, padding=1, bias=False)
        self.norm_1 = nn.BatchNorm2d(n_channels)
        self.conv_2 = nn.Conv2d(n_channels, n_channels, 3, padding=1, bias=False)
        self.norm_2 = nn.BatchNorm2d(n_channels)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y = torch.relu(self.norm_1(self.conv_1(x))) * mask
        return torch.relu(self.norm_2(self.conv_2(y)) + x) * mask


class Block(nn.Module):
    """3x3 convolution, batch norm, ReLU and downsampling by a stride or by max pooling, then residual pairs.

    x (batch, channels, n_mels, n_steps) and lengths (batch,) steps -> the same two, downsampled. Steps past a
    clip's length are zero on the way in and on the way out.
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

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = self.max_pool(torch.relu(self.norm(self.conv(x))))
        if self.pool:
            lengths = torch.div(lengths, self.stride_time, rounding_mode="floor")
        else:  # a padded 3-wide convolution: ceil(n / stride)
            lengths = torch.div(lengths + self.stride_time - 1, self.stride_time, rounding_mode="floor")
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


class SiameseEncoder(nn.Module):
    """Log-mel of a clip -> its embedding; the pair head maps two embeddings to a similarity logit."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.normalise = Normalise(config.normalisation)
        blocks = []
        n_in, n_mels = 1, config.n_mels
        shapes = zip(config.channels, config.strides_mel, config.strides_time, config.residual, strict=True)
        for n_out, stride_mel, stride_time, n_residual in shapes:
            blocks.append(Block(n_in, n_out, (stride_mel, stride_time), config.downsampling, n_residual))
            n_in = n_out
            n_mels = n_mels // stride_mel if config.downsampling == "max_pool" else -(-n_mels // stride_mel)
        self.blocks = nn.ModuleList(blocks)
        self.lstm = nn.LSTM(n_in * n_mels, config.n_hidden, batch_first=True, bidirectional=True)
        n_features = 2 * config.n_hidden
        pooling = MeanPooling if config.pooling == "mean" else AttentiveStatistics
        self.pooling = pooling(n_features)
        self.embedding = nn.Linear(self.pooling.n_out, config.n_embedding)
        self.embedding_norm = nn.BatchNorm1d(config.n_embedding)
        self.unit_norm = config.unit_norm
        self.n_frames_per_step = math.prod(config.strides_time)
        self.pair_head = nn.Linear(config.n_embedding, 1) if config.pair_head else nn.Identity()

    def forward(self, log_mel: Tensor, lengths: Tensor) -> Tensor:
        """log_mel (batch, n_mels, n_frames), lengths (batch,) frames -> embeddings (batch, n_embedding)."""
        x = self.normalise(log_mel, lengths).unsqueeze(1)
        if x.size(3) < self.n_frames_per_step:  # pooling would leave no step at all
            x = nn.functional.pad(x, (0, self.n_frames_per_step - x.size(3)))
        for block in self.blocks:
            x, lengths = block(x, lengths)
        n_steps = x.size(3)
        x = x.permute(0, 3, 1, 2).flatten(2)  # (batch, n_steps, channels * n_mels)
        lengths = lengths.clamp(min=1)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        x, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=n_steps)
        embeddings = self.embedding_norm(self.embedding(self.pooling(x, frame_mask(lengths, n_steps))))
        if self.unit_norm:
            embeddings = nn.functional.normalize(embeddings, dim=1)
        return embeddings

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
