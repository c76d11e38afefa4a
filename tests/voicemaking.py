"""Made voices: enough like speech to train on for a few steps, and nobody's.

A voice is a pulse train at the speaker's pitch through the speaker's three formants, in syllables with pauses.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import lfilter

from model.waveform import SAMPLE_RATE_HZ, Samples


def voice(speaker: int, clip: int, duration_s: float) -> Samples:
    """(n_samples,) at 16 kHz; the same speaker and clip give the same samples."""
    who, what = np.random.default_rng([1, speaker]), np.random.default_rng([2, speaker, clip])
    n = int(duration_s * SAMPLE_RATE_HZ)
    pitch_hz = who.uniform(90, 260) * np.exp(0.05 * np.cumsum(what.normal(0, 0.01, n)))
    source = np.diff(np.floor(np.cumsum(pitch_hz) / SAMPLE_RATE_HZ), prepend=0.0) + 0.01 * what.normal(size=n)
    for low_hz, high_hz in ((300, 800), (1_000, 2_200), (2_300, 3_300)):
        radius, angle = np.exp(-np.pi * 90 / SAMPLE_RATE_HZ), 2 * np.pi * who.uniform(low_hz, high_hz) / SAMPLE_RATE_HZ
        source = lfilter([1.0 - radius], [1.0, -2 * radius * np.cos(angle), radius**2], source)
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * np.arange(n) / SAMPLE_RATE_HZ + what.uniform(0, 6))
    samples = source * syllables
    return (0.3 * samples / np.abs(samples).max()).astype(np.float32)


def write_corpus(folder: Path, n_speakers: int, n_clips: int, duration_s: float) -> None:
    """WAV files and manifest.csv: half the speakers train, the rest are validation and test by turns."""
    rows = []
    for speaker in range(n_speakers):
        split = "train" if speaker % 2 == 0 else ("dev", "test")[speaker // 2 % 2]
        for clip in range(n_clips):
            path = folder / f"s{speaker}" / f"{clip}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, voice(speaker, clip, duration_s), SAMPLE_RATE_HZ, subtype="PCM_16")
            rows.append([path.relative_to(folder), "made", split, f"s{speaker}"])
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "corpus", "split", "speaker"], *rows])


def write_trials(folder: Path, speakers: list[int], n_clips: int) -> Path:
    """Every pair of these speakers' clips, as a trial list."""
    clips = [(speaker, clip) for speaker in speakers for clip in range(n_clips)]
    lines = [
        f"{int(a[0] == b[0])} s{a[0]}/{a[1]}.wav s{b[0]}/{b[1]}.wav"
        for i, a in enumerate(clips)
        for b in clips[i + 1 :]
    ]
    (folder / "made.txt").write_text("\n".join(lines) + "\n")
    return folder / "made.txt"
