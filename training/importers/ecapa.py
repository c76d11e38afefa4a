"""ECAPA-TDNN (Desplanques et al., 2020) as SpeechBrain builds it, so that its weights embed here as they do there.

Every convolution reflects a clip at its own two ends: a clip embeds alike alone and zero-padded in a batch, which it
does not in SpeechBrain, where the padding is what is reflected. Shapes are (batch, n_channels, n_steps) and lengths
(batch,) steps throughout.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from model.features import frame_mask


@dataclass(frozen=True)
class EcapaConfig:
    """Shape of an Ecapa. The defaults are those of SpeechBrain's published VoxCeleb encoder."""

    n_mels: int = 80
    channels: tuple[int, ...] = (1024, 1024, 1024, 1024, 3072)
    """Of the first layer, of each SE-Res2Net block, and of the layer that gathers the blocks."""
    kernel_sizes: tuple[int, ...] = (5, 3, 3, 3, 1)
    dilations: tuple[int, ...] = (1, 2, 3, 4, 1)
    n_attention: int = 128
    n_squeezed: int = 128
    scale: int = 8
    """Parts that a Res2Net layer cuts its channels into."""
    global_context: bool = True
    n_embedding: int = 192

    def __post_init__(self) -> None:
        if len(self.channels) < 3 or not len(self.channels) == len(self.kernel_sizes) == len(self.dilations):
            raise ValueError(
                "channels, kernel sizes and dilations need one entry each for the first layer, every block and the last "
                f"layer; got {len(self.channels)}, {len(self.kernel_sizes)} and {len(self.dilations)}"
            )
        if any(n % self.scale for n in self.channels[1:-1]):
            raise ValueError(f"the blocks' channels {self.channels[1:-1]} do not divide into {self.scale} parts")
        if any(size % 2 == 0 for size in self.kernel_sizes):
            raise ValueError(f"kernel sizes are odd; got {self.kernel_sizes}")


def reflect(x: Tensor, lengths: Tensor, n_padding: int) -> Tensor:
    """Each clip mirrored about its first and its last real step: n_padding steps longer at either end.

    A clip shorter than the padding is mirrored more than once.
    """
    steps = torch.arange(-n_padding, x.size(2) + n_padding, device=x.device).unsqueeze(0)
    last = (lengths - 1).unsqueeze(1)
    period = (2 * last).clamp(min=1)
    within = torch.remainder(steps, period)
    index = torch.minimum(within, (period - within).clamp(min=0)).clamp(max=x.size(2) - 1)
    return x.gather(2, index.unsqueeze(1).expand(-1, x.size(1), -1))


class TdnnLayer(nn.Module):
    """Convolution over time with reflected ends, ReLU, batch norm."""

    def __init__(self, n_in: int, n_out: int, kernel_size: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.n_padding: Final[int] = dilation * (kernel_size - 1) // 2
        self.conv = nn.Conv1d(n_in, n_out, kernel_size, dilation=dilation)
        self.norm = nn.BatchNorm1d(n_out)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if self.n_padding > 0:
            x = reflect(x, lengths, self.n_padding)
        return self.norm(torch.relu(self.conv(x)))


class Res2NetLayer(nn.Module):
    """Parts of the channels one after the other, each convolved together with the result of the part before it."""

    def __init__(self, n_channels: int, scale: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.scale: Final[int] = scale
        n = n_channels // scale
        self.blocks = nn.ModuleList([TdnnLayer(n, n, kernel_size, dilation) for _ in range(scale - 1)])

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        parts = torch.chunk(x, self.scale, dim=1)
        out = [parts[0]]
        for i, block in enumerate(self.blocks):
            part = parts[i + 1] if i == 0 else parts[i + 1] + out[-1]
            out.append(block(part, lengths))
        return torch.cat(out, dim=1)


class SqueezeExcite(nn.Module):
    """Channels weighted by what the clip's mean over time says of them."""

    def __init__(self, n_channels: int, n_squeezed: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(n_channels, n_squeezed, 1)
        self.conv2 = nn.Conv1d(n_squeezed, n_channels, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        mean = (x * mask).sum(dim=2, keepdim=True) / mask.sum(dim=2, keepdim=True)
        return x * torch.sigmoid(self.conv2(torch.relu(self.conv1(mean))))


class SeRes2NetBlock(nn.Module):
    """TDNN, Res2Net, TDNN and squeeze-and-excitation beside a shortcut."""

    def __init__(
        self, n_in: int, n_out: int, scale: int, n_squeezed: int, kernel_size: int, dilation: int, has_shortcut: bool
    ) -> None:
        super().__init__()
        self.tdnn1 = TdnnLayer(n_in, n_out)
        self.res2net_block = Res2NetLayer(n_out, scale, kernel_size, dilation)
        self.tdnn2 = TdnnLayer(n_out, n_out)
        self.se_block = SqueezeExcite(n_out, n_squeezed)
        self.shortcut = nn.Conv1d(n_in, n_out, 1) if has_shortcut else nn.Identity()

    def forward(self, x: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        y = self.tdnn2(self.res2net_block(self.tdnn1(x, lengths), lengths), lengths)
        return self.se_block(y, mask) + self.shortcut(x)


class AttentivePooling(nn.Module):
    """Channel-wise attention's mean and standard deviation: (batch, n, n_steps) -> (batch, 2 * n, 1)."""

    floor: Final[float] = 1e-12

    def __init__(self, n_channels: int, n_attention: int, global_context: bool) -> None:
        super().__init__()
        self.global_context: Final[bool] = global_context
        self.tdnn = TdnnLayer(3 * n_channels if global_context else n_channels, n_attention)
        self.conv = nn.Conv1d(n_attention, n_channels, 1)

    def forward(self, x: Tensor, lengths: Tensor, mask: Tensor) -> Tensor:
        seen = x
        if self.global_context:
            mean, std = self.statistics(x, mask / mask.sum(dim=2, keepdim=True))
            seen = torch.cat([x, mean.expand_as(x), std.expand_as(x)], dim=1)
        logits = self.conv(torch.tanh(self.tdnn(seen, lengths)))
        alpha = torch.softmax(logits.masked_fill(mask == 0, -float("inf")), dim=2)
        return torch.cat(self.statistics(x, alpha), dim=1)

    def statistics(self, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        mean = (weight * x).sum(dim=2, keepdim=True)
        variance = (weight * (x - mean).square()).sum(dim=2, keepdim=True)
        return mean, variance.clamp(min=self.floor).sqrt()


class Ecapa(nn.Module):
    """features (batch, n_mels, n_frames), lengths (batch,) frames -> (batch, n_embedding), not scaled."""

    def __init__(self, config: EcapaConfig) -> None:
        super().__init__()
        sizes = config.channels
        self.first = TdnnLayer(config.n_mels, sizes[0], config.kernel_sizes[0], config.dilations[0])
        self.blocks = nn.ModuleList(
            [
                SeRes2NetBlock(
                    sizes[i - 1],
                    sizes[i],
                    config.scale,
                    config.n_squeezed,
                    config.kernel_sizes[i],
                    config.dilations[i],
                    sizes[i - 1] != sizes[i],
                )
                for i in range(1, len(sizes) - 1)
            ]
        )
        self.mfa = TdnnLayer(sum(sizes[1:-1]), sizes[-1], config.kernel_sizes[-1], config.dilations[-1])
        self.asp = AttentivePooling(sizes[-1], config.n_attention, config.global_context)
        self.asp_bn = nn.BatchNorm1d(2 * sizes[-1])
        self.fc = nn.Conv1d(2 * sizes[-1], config.n_embedding, 1)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        mask = frame_mask(lengths, features.size(2)).unsqueeze(1).to(features.dtype)
        x = self.first(features, lengths)
        outputs: list[Tensor] = []
        for block in self.blocks:
            x = block(x, lengths, mask)
            outputs.append(x)
        x = self.mfa(torch.cat(outputs, dim=1), lengths)
        return self.fc(self.asp_bn(self.asp(x, lengths, mask))).squeeze(2)
