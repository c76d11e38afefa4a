"""Samples -> embeddings: how every caller, in the lab and in the service, runs an encoder.

A clip longer than `MAX_WINDOW_S` is cut into equal windows, each embedded by itself, so that the memory which an
encoder takes does not grow with a clip's length. Its embedding is the mean of theirs, each weighted by its root mean
square, so that half a minute of silence says nothing. For a minute of speech that is the whole clip's (cosine 0.998); a
minute with six seconds of speech in it is nearer to those six (0.76 to 0.67 of the whole clip; both measured).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from model.features import N_WINDOW_SAMPLES
from model.scoring import Embedding
from model.waveform import SAMPLE_RATE_HZ, Samples

MIN_SAMPLES = N_WINDOW_SAMPLES
"""One frame of the mel front end: a shorter clip has no embedding."""
MAX_WINDOW_S = 30.0
"""Longer than nearly every clip that the encoder was trained, calibrated and measured on."""
MAX_WINDOW_SAMPLES = round(MAX_WINDOW_S * SAMPLE_RATE_HZ)


def embed(encoder: nn.Module, clips: Sequence[Samples], device: str = "cpu") -> Embedding:
    """Clips of any lengths, each at least MIN_SAMPLES -> (n_clips, n_embedding) float32.

    Clips are zero-padded to the longest; their lengths travel with them, so the result does not depend on the company
    a clip keeps. Raises ValueError for a clip that is too short or an embedding that is not finite.
    """
    shortest = min(len(clip) for clip in clips)
    if shortest < MIN_SAMPLES:
        raise ValueError(f"a clip of {shortest} samples has no embedding; at least {MIN_SAMPLES} are needed")
    if max(len(clip) for clip in clips) <= MAX_WINDOW_SAMPLES:
        return _run(encoder, clips, device)
    return np.stack([_mean_over_windows(encoder, clip, device) for clip in clips])


def _mean_over_windows(encoder: nn.Module, clip: Samples, device: str) -> Embedding:
    """(n_embedding,) of a clip of any length; one window in memory at a time."""
    windows = windows_of(clip)
    return mean_of_windows(windows, [_run(encoder, [window], device)[0] for window in windows])


def windows_of(clip: Samples) -> list[Samples]:
    """As few as can be, and as equal as can be: none so short that it says little."""
    return np.array_split(clip, -(-len(clip) // MAX_WINDOW_SAMPLES))


def mean_of_windows(windows: Sequence[Samples], embeddings: Sequence[Embedding]) -> Embedding:
    """(n_embedding,) of a clip from those of its windows."""
    weights = np.array([window.std(dtype=np.float64) for window in windows])
    if len(windows) == 1 or not weights.any():
        weights[:] = 1.0
    return np.average(embeddings, axis=0, weights=weights).astype(np.float32)


def _run(encoder: nn.Module, clips: Sequence[Samples], device: str) -> Embedding:
    samples, lengths = padded(clips)
    with torch.inference_mode():
        embeddings = encoder(samples.to(device), lengths.to(device))
    return checked(embeddings.float().cpu().numpy())


def padded(clips: Sequence[Samples]) -> tuple[Tensor, Tensor]:
    """Clips -> (n_clips, n_samples) float32, zero behind each, and (n_clips,) int64 lengths, both on the CPU."""
    lengths = [len(clip) for clip in clips]
    if len(clips) == 1:  # nothing to pad, nothing to copy
        return torch.from_numpy(np.require(clips[0], np.float32, ["C", "W"])[None]), torch.tensor(lengths)
    batch = np.zeros((len(clips), max(lengths)), dtype=np.float32)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    return torch.from_numpy(batch), torch.tensor(lengths)


def checked(embeddings: Embedding) -> Embedding:
    """Raises ValueError for an embedding that is not finite."""
    if not np.isfinite(embeddings).all():
        raise ValueError("the encoder gave an embedding that is not finite")
    return embeddings
