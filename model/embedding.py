"""Samples -> embeddings: how every caller, in the lab and in the service, runs an encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from model.features import N_WINDOW_SAMPLES
from model.scoring import Embedding
from model.waveform import Samples

MIN_SAMPLES = N_WINDOW_SAMPLES
"""One frame of the mel front end: a shorter clip has no embedding."""


def embed(encoder: nn.Module, clips: Sequence[Samples], device: str = "cpu") -> Embedding:
    """Clips of any lengths, each at least MIN_SAMPLES -> (n_clips, n_embedding) float32.

    Clips are zero-padded to the longest; their lengths travel with them, so the result does not depend on the company
    a clip keeps. Raises ValueError for a clip that is too short or an embedding that is not finite.
    """
    lengths = [len(clip) for clip in clips]
    if min(lengths) < MIN_SAMPLES:
        raise ValueError(f"a clip of {min(lengths)} samples has no embedding; at least {MIN_SAMPLES} are needed")
    batch = np.zeros((len(clips), max(lengths)), dtype=np.float32)
    for row, clip in zip(batch, clips, strict=True):
        row[: len(clip)] = clip
    with torch.inference_mode():
        embeddings = encoder(torch.from_numpy(batch).to(device), torch.tensor(lengths, device=device))
    result: Embedding = embeddings.float().cpu().numpy()
    if not np.isfinite(result).all():
        raise ValueError("the encoder gave an embedding that is not finite")
    return result
