"""Crops out of waveforms: voice, rendering and log-mel computed anew for every crop.

Every crop then sounds like no other, and the disk holds the clips once (115 MB an hour), where `feature_store.py` holds
each in every voice and version. It takes about 10 ms of a core a crop: for GPUs with many cores beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from model.features import N_HOP_SAMPLES, N_WINDOW_SAMPLES, LogMel
from model.waveform import Samples
from training.augment.render import RenderConfig, build_rooms, render
from training.augment.voices import Voice, change_voice
from training.crops import crop_frames, groups_by_label
from training.dataset import PreparedUtterance, read_samples
from training.feature_store import ShardKey, by_corpus, class_name, has_frames
from training.once import compute_once
from training.row_workers import mapped

_FULL_SCALE = 32_767.0


@dataclass(frozen=True, eq=False)
class Clip:
    samples: NDArray[np.int16]
    """A view into a memory-mapped file."""
    speaker: str

    def cut(self, start: int, end: int) -> Samples:
        floats: Samples = self.samples[start:end].astype(np.float32) / np.float32(_FULL_SCALE)
        return floats


@dataclass(frozen=True, eq=False)
class WaveformStore:
    """A CropSource: group `clip * n_voices + voice`, of class `labels[group]`."""

    clips: tuple[Clip, ...]
    voices: tuple[Voice, ...]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    config: RenderConfig
    rooms: tuple[Samples, ...]
    front_end: LogMel

    @cached_property
    def groups_of(self) -> list[list[int]]:
        return groups_by_label(self.labels, len(self.classes))

    def crop(
        self, group: int, part: int, n_parts: int, n_frames: int, rendered: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        clip, voice = self.clips[group // len(self.voices)], self.voices[group % len(self.voices)]
        n_wanted = (n_frames - 1) * N_HOP_SAMPLES + N_WINDOW_SAMPLES
        first, last = (len(clip.samples) * (part + i) // n_parts for i in (0, 1))
        n_heard = min(last - first, round(n_wanted * voice.speed) + 1)  # before its speed changes
        start = first + int(rng.integers(last - first - n_heard + 1))
        heard = change_voice(clip.cut(start, start + n_heard), voice)
        if self.config.n_versions > 1 and rng.random() < rendered * (1.0 - 1.0 / self.config.n_versions):
            heard = render(
                heard, self.config, self.rooms, lambda r: self._somebody_else(clip.speaker, len(heard), r), rng
            )
        with torch.inference_mode():
            log_mel = self.front_end(torch.from_numpy(heard).unsqueeze(0))[0].T.numpy()
        return crop_frames(log_mel, n_frames, rng)

    def _somebody_else(self, speaker: str, n_samples: int, rng: np.random.Generator) -> Samples:
        while True:
            clip = self.clips[int(rng.integers(len(self.clips)))]
            if clip.speaker != speaker:
                start = int(rng.integers(max(1, len(clip.samples) - n_samples)))
                return clip.cut(start, start + n_samples)


def open_waveforms(
    rows: Sequence[PreparedUtterance],
    n_mels: int,
    folder: Path,
    *,
    voices: Sequence[Voice],
    render: RenderConfig,
    seed: int = 1,
    workers: int = 1,
) -> WaveformStore:
    """Opens the waveforms of these rows, decoding first those of the corpora that the folder does not have yet.

    Groups are those of `open_features` with the same arguments.
    """
    clips, kept = [], []
    for corpus in by_corpus(rows):
        key = ShardKey(tuple(corpus), (), RenderConfig(), 0, 0)
        stem = folder / f"waveforms-{key.digest()}"
        compute_once(stem.with_suffix(".npy"), partial(_decode_all, key, stem, workers))
        starts = np.load(stem.with_suffix(".npy"))
        samples = np.memmap(stem.with_suffix(".i16"), dtype=np.int16, mode="r", shape=(int(starts[-1]),))
        for row, start, end in zip(corpus, starts[:-1], starts[1:], strict=True):
            if has_frames(int(end - start), voices):
                clips.append(Clip(samples[start:end], row.utterance.speaker))
                kept.append(row)
    names = [class_name(row, voice) for row in kept for voice in voices]
    classes = sorted(set(names))
    label_of = {name: label for label, name in enumerate(classes)}
    return WaveformStore(
        clips=tuple(clips),
        voices=tuple(voices),
        labels=np.array([label_of[name] for name in names]),
        classes=tuple(classes),
        config=render,
        rooms=tuple(build_rooms(render, seed)),
        front_end=LogMel(n_mels).eval(),
    )


class _Decoder:
    def __init__(self, key: ShardKey) -> None:
        self.key = key

    def __call__(self, index: int) -> NDArray[np.int16]:
        samples = read_samples(self.key.rows[index].utterance.path)
        return np.round(np.clip(samples, -1.0, 1.0) * _FULL_SCALE).astype(np.int16)


def _decode_all(key: ShardKey, stem: Path, workers: int) -> None:
    part = stem.with_suffix(".part")
    starts = [0]
    with part.open("wb") as file, mapped(_Decoder, key, len(key.rows), workers) as results:
        for samples in track(results, description=f"Decoding {key.rows[0].utterance.corpus}", total=len(key.rows)):
            file.write(samples.tobytes())
            starts.append(starts[-1] + len(samples))
    part.replace(stem.with_suffix(".i16"))
    # The index comes last and whole: where it is, so are the samples.
    with part.open("wb") as file:
        np.save(file, np.array(starts))
    part.replace(stem.with_suffix(".npy"))
