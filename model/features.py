"""Waveform -> normalised log-mel: the front end that travels inside the exported encoder.

Frames are not centred: frame t covers samples [t * hop, t * hop + window), so a frame depends on nothing outside
its window and zero-padding behind a clip only adds frames, which the masks below remove again.
"""

from typing import Final

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from model.waveform import SAMPLE_RATE_HZ

WINDOW_S = 0.025
HOP_S = 0.010
N_WINDOW_SAMPLES: Final[int] = 400
N_HOP_SAMPLES: Final[int] = 160
N_FFT: Final[int] = 512
if N_WINDOW_SAMPLES != WINDOW_S * SAMPLE_RATE_HZ or N_HOP_SAMPLES != HOP_S * SAMPLE_RATE_HZ or N_FFT < N_WINDOW_SAMPLES:
    raise ValueError("the frame constants do not fit the sample rate")
FRAMES_PER_S = SAMPLE_RATE_HZ / N_HOP_SAMPLES

F_MIN_HZ = 20.0
F_MAX_HZ = 7_600.0

LOG_FLOOR: Final[float] = 1e-6
"""Added to mel power before the logarithm: -60 dB re full scale, under the noise of any real microphone."""

NORMALISATIONS = ("mean", "mean_std")


def describe_front_end(n_mels: int, normalisation: str) -> dict[str, int | float | str]:
    """What stands between samples and network: a part of the encoder's identity, and of a feature cache's."""
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "window_s": WINDOW_S,
        "hop_s": HOP_S,
        "n_fft": N_FFT,
        "f_min_hz": F_MIN_HZ,
        "f_max_hz": F_MAX_HZ,
        "log_floor": LOG_FLOOR,
        "n_mels": n_mels,
        "normalisation": normalisation,
    }


def n_frames(n_samples: Tensor, n_window: int = N_WINDOW_SAMPLES, n_hop: int = N_HOP_SAMPLES) -> Tensor:
    """How many whole windows fit: (batch,) samples -> (batch,) frames, int64, never negative."""
    frames = torch.div(n_samples - n_window, n_hop, rounding_mode="floor") + 1
    return frames.clamp(min=0)


def frame_mask(lengths: Tensor, n_steps: int) -> Tensor:
    """(batch,) valid lengths -> (batch, n_steps) bool, True where a step is real."""
    return torch.arange(n_steps, device=lengths.device).unsqueeze(0) < lengths.unsqueeze(1)


class LogMel(nn.Module):
    """Log mel-spectrogram: samples (batch, n_samples) float32 -> (batch, n_mels, n_frames), natural log of power."""

    # Scripted code sees attributes, not globals.
    n_window: Final[int] = N_WINDOW_SAMPLES
    n_hop: Final[int] = N_HOP_SAMPLES
    n_fft: Final[int] = N_FFT
    floor: Final[float] = LOG_FLOOR
    window: Tensor
    filters: Tensor

    def __init__(self, n_mels: int) -> None:
        super().__init__()
        self.register_buffer("window", torch.hamming_window(N_WINDOW_SAMPLES, periodic=False))
        filters = melscale_fbanks(N_FFT // 2 + 1, F_MIN_HZ, F_MAX_HZ, n_mels, SAMPLE_RATE_HZ)
        self.register_buffer("filters", filters.T.contiguous())

    def forward(self, samples: Tensor) -> Tensor:
        if samples.size(1) < self.n_window:
            samples = nn.functional.pad(samples, (0, self.n_window - samples.size(1)))
        frames = samples.unfold(1, self.n_window, self.n_hop) * self.window
        spectrum = torch.view_as_real(torch.fft.rfft(frames, n=self.n_fft))
        # Neither abs(), which takes a root first, nor a sum over so short an axis: both cost more than the transform.
        power = spectrum[..., 0].square() + spectrum[..., 1].square()  # (batch, n_frames, n_fft // 2 + 1)
        mel = torch.matmul(self.filters, power.transpose(1, 2))
        return torch.log(mel + self.floor)


class Normalise(nn.Module):
    """Per-clip normalisation of a log-mel over its real frames only; padding becomes zero.

    `mean` subtracts each mel bin's mean over time (removes a fixed channel); `mean_std` subtracts the clip's single
    mean and divides by its single standard deviation, as the article does.
    """

    floor: Final[float] = LOG_FLOOR

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind not in NORMALISATIONS:
            raise ValueError(f"normalisation is one of {', '.join(NORMALISATIONS)}; got {kind!r}")
        self.kind = kind

    def forward(self, log_mel: Tensor, lengths: Tensor) -> Tensor:
        """log_mel (batch, n_mels, n_frames), lengths (batch,) frames -> the same shape, zero past each length."""
        mask = frame_mask(lengths, log_mel.size(2)).unsqueeze(1).to(log_mel.dtype)
        count = lengths.clamp(min=1).to(log_mel.dtype).view(-1, 1, 1)
        if self.kind == "mean":
            mean = (log_mel * mask).sum(dim=2, keepdim=True) / count
            return (log_mel - mean) * mask
        n_values = count * log_mel.size(1)
        mean = (log_mel * mask).sum(dim=(1, 2), keepdim=True) / n_values
        centred = (log_mel - mean) * mask
        variance = centred.square().sum(dim=(1, 2), keepdim=True) / n_values
        return centred / (variance + self.floor).sqrt()
