"""Resemblyzer's GE2E encoder (Apache-2.0), rebuilt so that it scripts and takes batches of clips of any lengths.

What `preprocess_wav` and `VoiceEncoder.embed_utterance` do to a clip is inside: volume, mel power, partial utterances
of 1.6 s, three LSTM layers, and the mean of the partials' embeddings. Trimming silence by webrtcvad is not.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torchaudio.functional import melscale_fbanks

from model.errors import InvalidArgument
from model.features import frame_mask
from model.waveform import SAMPLE_RATE_HZ

N_WINDOW_SAMPLES: Final[int] = 400
N_HOP_SAMPLES: Final[int] = 160
N_MELS: Final[int] = 40
N_PARTIAL_FRAMES: Final[int] = 160
PARTIALS_PER_S = 1.3
N_STEP_FRAMES: Final[int] = round(SAMPLE_RATE_HZ / PARTIALS_PER_S / N_HOP_SAMPLES)
"""Frames from the start of one partial utterance to the next."""
MIN_COVERAGE = 0.75
N_MIN_COVERED_SAMPLES: Final[int] = int(MIN_COVERAGE * N_PARTIAL_FRAMES * N_HOP_SAMPLES)
"""A last partial with fewer real samples is left out, unless it is the only one."""
if N_MIN_COVERED_SAMPLES != MIN_COVERAGE * N_PARTIAL_FRAMES * N_HOP_SAMPLES:
    raise ValueError("the smallest coverage is not a whole number of samples")

TARGET_RMS: Final[float] = 10 ** (-30.0 / 20)
"""Quieter clips are raised to -30 dB re full scale; louder ones stay."""

LICENCE = "Apache-2.0"
TRAINING_DATA = ("LibriSpeech-other", "VoxCeleb1", "VoxCeleb2")
LIMIT = (
    "Silence is not trimmed: Resemblyzer's own preprocessing cuts pauses out by webrtcvad before it embeds a clip; here "
    "the encoder hears the whole clip, its volume raised as there."
)

N_HIDDEN = 256
N_LAYERS = 3
N_EMBEDDING = 256


class ResemblyzerEncoder(nn.Module):
    """samples (batch, n_samples) float32 at 16 kHz, lengths (batch,) int64 samples -> (batch, 256) of length 1."""

    # Scripted code sees attributes, not globals.
    n_window: Final[int] = N_WINDOW_SAMPLES
    n_hop: Final[int] = N_HOP_SAMPLES
    n_partial: Final[int] = N_PARTIAL_FRAMES
    n_step: Final[int] = N_STEP_FRAMES
    n_min_covered: Final[int] = N_MIN_COVERED_SAMPLES
    target_rms: Final[float] = TARGET_RMS
    window: Tensor
    filters: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(N_WINDOW_SAMPLES))
        n_bins = N_WINDOW_SAMPLES // 2 + 1
        filters = melscale_fbanks(n_bins, 0.0, SAMPLE_RATE_HZ / 2, N_MELS, SAMPLE_RATE_HZ, "slaney", "slaney")
        self.register_buffer("filters", filters)
        self.lstm = nn.LSTM(N_MELS, N_HIDDEN, N_LAYERS, batch_first=True)
        self.linear = nn.Linear(N_HIDDEN, N_EMBEDDING)

    def forward(self, samples: Tensor, lengths: Tensor) -> Tensor:
        mel = self.mel_power(self.raise_volume(samples, lengths))
        partials: list[Tensor] = []
        n_partials: list[int] = []
        clip_lengths: list[int] = lengths.tolist()
        for row, n_samples in enumerate(clip_lengths):
            starts = self.partial_starts(n_samples)
            n_partials.append(len(starts))
            partials += [mel[row, start : start + self.n_partial] for start in starts]
        states = self.lstm(torch.stack(partials))[0]
        embeddings = nn.functional.normalize(torch.relu(self.linear(states[:, -1])), dim=1)
        clips = [part.mean(dim=0) for part in torch.split(embeddings, n_partials)]
        return nn.functional.normalize(torch.stack(clips), dim=1)

    def raise_volume(self, samples: Tensor, lengths: Tensor) -> Tensor:
        """Quiet clips raised to the target level, zero past each length; (batch, n_samples) both."""
        samples = samples * frame_mask(lengths, samples.size(1)).to(samples.dtype)
        rms = (samples.square().sum(dim=1) / lengths.clamp(min=1).to(samples.dtype)).sqrt()
        gain = (self.target_rms / rms.clamp(min=1e-12)).clamp(min=1.0)
        return samples * gain.unsqueeze(1)

    def mel_power(self, samples: Tensor) -> Tensor:
        """(batch, n_samples) -> (batch, n_frames, n_mels); frame t is centred on sample t * hop, zeros all around.

        There are frames enough for a partial utterance that begins anywhere in the longest clip.
        """
        half = self.n_window // 2
        samples = nn.functional.pad(samples, (half, half + self.n_partial * self.n_hop))
        frames = samples.unfold(1, self.n_window, self.n_hop) * self.window
        power = torch.fft.rfft(frames, n=self.n_window).abs().square()
        return torch.matmul(power, self.filters)

    def partial_starts(self, n_samples: int) -> list[int]:
        """First frame of each partial utterance of a clip: at least one, the last one covered well enough."""
        n_frames = n_samples // self.n_hop + 1  # ceil((n_samples + 1) / n_hop)
        last = max(0, n_frames - self.n_partial + self.n_step)
        starts = [start for start in range(0, last + 1, self.n_step)]  # noqa: C416  # TorchScript knows no list(range)
        if len(starts) > 1 and n_samples - starts[-1] * self.n_hop < self.n_min_covered:
            starts.pop()
        return starts


def read_weights(path: Path) -> ResemblyzerEncoder:
    """The encoder with the weights of Resemblyzer's `pretrained.pt`. Raises InvalidArgument where the file is another."""
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        encoder = ResemblyzerEncoder()
        # The file also holds the two scalars of the GE2E loss, which no embedding needs.
        own = {name: tensor for name, tensor in weights.items() if name.startswith(("lstm.", "linear."))}
        missing = encoder.load_state_dict(own, strict=False).missing_keys
    except Exception as error:
        raise InvalidArgument(f"{path} does not hold Resemblyzer's weights: {error}") from error
    if set(missing) != {"window", "filters"}:
        raise InvalidArgument(f"{path} does not hold Resemblyzer's weights: {sorted(missing)} are missing")
    return encoder.eval()


def describe_front_end() -> dict[str, Any]:
    return {
        "kind": "resemblyzer",
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "n_window_samples": N_WINDOW_SAMPLES,
        "n_hop_samples": N_HOP_SAMPLES,
        "n_mels": N_MELS,
        "target_rms": TARGET_RMS,
    }


def describe_network() -> dict[str, Any]:
    return {
        "kind": "GE2E LSTM",
        "n_hidden": N_HIDDEN,
        "n_layers": N_LAYERS,
        "n_embedding": N_EMBEDDING,
        "n_partial_frames": N_PARTIAL_FRAMES,
        "n_step_frames": N_STEP_FRAMES,
        "min_coverage": MIN_COVERAGE,
    }


def installed_weights() -> Path:
    """`pretrained.pt` inside the installed package, which is not imported. Raises InvalidArgument where it is absent."""
    spec = find_spec("resemblyzer")
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    if folder is None or not (folder / "pretrained.pt").is_file():
        raise InvalidArgument(
            "the package resemblyzer, whose weights these are, is not installed: `pip install --no-deps resemblyzer`, or "
            "name the file pretrained.pt"
        )
    return folder / "pretrained.pt"
