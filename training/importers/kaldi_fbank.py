"""Kaldi's log mel filter bank, as torchaudio.compliance.kaldi.fbank computes it without dither: scriptable."""

from dataclasses import dataclass, replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from torchaudio.compliance.kaldi import get_mel_banks

from model.errors import InvalidArgument
from model.waveform import SAMPLE_RATE_HZ

N_WINDOW_SAMPLES: Final[int] = 400
N_HOP_SAMPLES: Final[int] = 160
N_FFT: Final[int] = 512
F_MIN_HZ = 20.0
PREEMPHASIS: Final[float] = 0.97

WINDOWS = ("hamming", "povey", "hanning")
SCALES = ("int16", "unit")


@dataclass(frozen=True)
class FbankConfig:
    """What differs between the projects that use it."""

    n_mels: int = 80
    window: str = "hamming"
    scale: str = "int16"
    """Samples as 16-bit integers (in float) or within [-1, 1]: the floor under the logarithm is absolute."""
    subtract_mean: bool = True
    """Each band's mean over the clip is taken away."""

    def __post_init__(self) -> None:
        if self.window not in WINDOWS:
            raise InvalidArgument(f"the window is one of {', '.join(WINDOWS)}; got {self.window!r}")
        if self.scale not in SCALES:
            raise InvalidArgument(f"the scale is one of {', '.join(SCALES)}; got {self.scale!r}")


CONVENTIONS = {
    "wespeaker": FbankConfig(window="hamming", scale="int16"),
    "3d-speaker": FbankConfig(window="povey", scale="unit"),
}


def fbank_config(
    convention: str | None, *, n_mels: int | None, window: str | None, scale: str | None, keep_mean: bool
) -> FbankConfig | None:
    """A convention with what differs from it; None where nothing is said at all. Raises InvalidArgument."""
    changes = {"n_mels": n_mels, "window": window, "scale": scale, "subtract_mean": False if keep_mean else None}
    given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
    if convention is None and not given:
        return None
    if convention not in CONVENTIONS:
        raise InvalidArgument(f"the convention is one of {', '.join(CONVENTIONS)}; got {convention}")
    return replace(CONVENTIONS[convention], **given)


class KaldiFbank(nn.Module):
    """(batch, n_samples) float32 at 16 kHz, clips of one length -> (batch, n_frames, n_mels), natural log of power.

    A clip of fewer than `n_min_frames` frames is repeated until it has as many.
    """

    # Scripted code sees attributes, not globals.
    n_window: Final[int] = N_WINDOW_SAMPLES
    n_hop: Final[int] = N_HOP_SAMPLES
    n_fft: Final[int] = N_FFT
    preemphasis: Final[float] = PREEMPHASIS
    floor: Final[float] = torch.finfo(torch.float32).eps
    window: Tensor
    filters: Tensor

    def __init__(self, config: FbankConfig, n_min_frames: int = 1) -> None:
        super().__init__()
        self.gain: Final[float] = 32_768.0 if config.scale == "int16" else 1.0
        self.subtract_mean: Final[bool] = config.subtract_mean
        self.n_min_frames: Final[int] = n_min_frames
        self.register_buffer("window", _window(config.window))
        banks = get_mel_banks(config.n_mels, N_FFT, SAMPLE_RATE_HZ, F_MIN_HZ, 0.0, 100.0, -500.0, 1.0)[0]
        self.register_buffer("filters", nn.functional.pad(banks, (0, 1)).T.contiguous())

    def forward(self, samples: Tensor) -> Tensor:
        frames = (self.gain * samples).unfold(1, self.n_window, self.n_hop)
        frames = frames - frames.mean(dim=2, keepdim=True)
        before = torch.cat([frames[:, :, :1], frames[:, :, :-1]], dim=2)
        frames = (frames - self.preemphasis * before) * self.window
        power = torch.fft.rfft(frames, n=self.n_fft).abs().square()
        features = torch.matmul(power, self.filters).clamp(min=self.floor).log()
        if self.subtract_mean:
            features = features - features.mean(dim=1, keepdim=True)
        n_frames = features.size(1)
        if n_frames < self.n_min_frames:
            features = features.repeat(1, -(-self.n_min_frames // n_frames), 1)[:, : self.n_min_frames]
        return features


def _window(kind: str) -> Tensor:
    if kind == "hamming":
        return torch.hamming_window(N_WINDOW_SAMPLES, periodic=False)
    hann = torch.hann_window(N_WINDOW_SAMPLES, periodic=False)
    return hann.pow(0.85) if kind == "povey" else hann
