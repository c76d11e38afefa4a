"""A small random encoder of features, as WeSpeaker would export one to ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

N_MELS = 80


class StatisticsEncoder(nn.Module):
    """Convolution over time, mean and standard deviation, linear: (batch, n_frames, n_mels) -> (batch, 16).

    The deviation is unbiased, as in many an x-vector, so that a single frame has none.
    """

    def __init__(self, n_mels: int = N_MELS) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv1d(n_mels, 24, 5, padding=2)
        self.linear = nn.Linear(48, 16)

    def forward(self, features: Tensor) -> Tensor:
        x = torch.relu(self.conv(features.transpose(1, 2)))
        return self.linear(torch.cat([x.mean(dim=2), x.std(dim=2)], dim=1))


class TwoOutputs(StatisticsEncoder):
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]  # that is the point of it
        return features.mean(dim=2), super().forward(features)


def write_graph(path: Path, encoder: nn.Module, *, outputs: tuple[str, ...] = ("embs",), fixed: bool = False) -> Path:
    """Exports with any number of clips and, unless `fixed`, of frames."""
    axes = {} if fixed else {"feats": {0: "B", 1: "T"}, **{name: {0: "B"} for name in outputs}}
    n_mels = encoder.conv.in_channels if isinstance(encoder, StatisticsEncoder) else N_MELS
    with warnings.catch_warnings():
        # The exporter that the projects out there used; its successor needs another package.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        torch.onnx.export(
            encoder.eval(),
            (torch.randn(1, 200, n_mels),),
            str(path),
            input_names=["feats"],
            output_names=list(outputs),
            dynamic_axes=axes,
            dynamo=False,
        )
    return path
