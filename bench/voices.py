"""The clips that benchmarks send: three seconds of real voices as WAV, and the same voices at other lengths."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile
from running import ROOT

from model.waveform import SAMPLE_RATE_HZ, Samples
from training.dataset import read_samples

CLIP_S = 3.0
EXAMPLES = ROOT / "examples" / "clips"
MAX_CLIPS = 20


def example(name: str) -> Samples:
    """A whole clip of examples/clips, such as `speaker-a-1`."""
    return read_samples(EXAMPLES / f"{name}.ogg")


def clips(data: Path | None = None, clip_s: float = CLIP_S) -> list[Samples]:
    """Every whole stretch of `clip_s` in the audio files below `data`, at most MAX_CLIPS of them and one a file.

    Without `data`: of examples/clips, one after the other.
    """
    n = round(clip_s * SAMPLE_RATE_HZ)
    found: list[Samples] = []
    for path in sorted((data or EXAMPLES).rglob("*")):
        if path.suffix not in (".ogg", ".opus", ".flac", ".wav") or len(found) == MAX_CLIPS:
            continue
        samples = read_samples(path)
        begins = range(0, len(samples) - n + 1, n)
        found += [samples[begin : begin + n].copy() for begin in (begins[:1] if data else begins)]
    if len(found) < 2:
        raise SystemExit(f"there are no two clips of {clip_s:g} s at {data or EXAMPLES}")
    return found[:MAX_CLIPS]


def pairs(found: list[Samples]) -> list[tuple[bytes, bytes]]:
    """Each clip beside the one after it, as WAV."""
    wavs = [encoded(samples) for samples in found]
    return list(zip(wavs, [*wavs[1:], wavs[0]], strict=True))


def of_length(samples: Samples, duration_s: float) -> Samples:
    """Cut, or said again until it lasts."""
    n = round(duration_s * SAMPLE_RATE_HZ)
    return np.resize(samples, n)


def encoded(samples: Samples, container: str = "WAV", encoding: str = "PCM_16", rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """A file. `rate_hz` is what its header says the samples have; shape (n_samples,) or (n_samples, n_channels)."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format=container, subtype=encoding)
    return out.getvalue()
