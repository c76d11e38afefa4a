"""The log-mels that training draws its crops from: every clip in every voice and version, one memory-mapped file a corpus.

They are computed once, by the very front end that is exported, and kept as float16 (their step, 0.008 at most, is far
below any augmentation). A batch then costs the training process a copy and what `augment/mel.py` draws anew. Where that
takes too much disk, `waveform_store.py` computes them for every crop.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track

from model.features import N_WINDOW_SAMPLES, LogMel, describe_front_end
from model.waveform import Samples
from training.augment.render import RenderConfig, build_rooms, render
from training.augment.voices import Voice, change_voice
from training.corpora.shards import stamp
from training.corpora.utterance import CorpusError
from training.crops import crop_frames, groups_by_label
from training.dataset import PreparedUtterance, read_samples
from training.once import compute_once
from training.row_workers import mapped

N_BABBLE_CLIPS = 100
"""Clips that babble is made of; a worker keeps them in memory."""
BABBLE_STREAM = 8
VERSION_STREAM = 9


@dataclass(frozen=True, eq=False)
class FeatureStore:
    """Log-mels of entries: entry i, of class `labels[i]`, is a stretch of shard `shards[i]`, from `starts[i]` to `ends[i]`.

    Shards are float16 (n_frames, n_mels). Entries of one group are versions of one clip in one voice. A speaker in
    another voice is another class.
    """

    frames: tuple[NDArray[np.float16], ...]
    shards: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    classes: tuple[str, ...]

    def clip(self, index: int) -> NDArray[np.float16]:
        """(n_frames, n_mels) of one entry."""
        clip: NDArray[np.float16] = self.frames[self.shards[index]][self.starts[index] : self.ends[index]]
        return clip

    def n_frames(self, index: int) -> int:
        return int(self.ends[index] - self.starts[index])

    @cached_property
    def groups_of(self) -> list[list[int]]:
        firsts = [versions[0] for versions in self._versions_of]
        return groups_by_label(self.labels[firsts], len(self.classes))

    @cached_property
    def _versions_of(self) -> list[NDArray[np.int64]]:
        order = np.argsort(self.groups, kind="stable")
        bounds = np.searchsorted(self.groups[order], np.arange(int(self.groups.max()) + 2))
        return [order[start:end] for start, end in pairwise(bounds)]

    def crop(
        self, group: int, part: int, n_parts: int, n_frames: int, rendered: float, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        versions = self._versions_of[group]
        clip = self.clip(int(rng.choice(versions)) if rng.random() < rendered else int(versions[0]))
        cut = clip[len(clip) * part // n_parts : len(clip) * (part + 1) // n_parts]
        return crop_frames(cut if len(cut) else clip, n_frames, rng)


@dataclass(frozen=True)
class ShardKey:
    """What decides the content of a shard; another of any of it makes another file."""

    rows: tuple[PreparedUtterance, ...]
    voices: tuple[Voice, ...]
    render: RenderConfig
    n_mels: int
    seed: int

    def digest(self) -> str:
        clips = [[str(r.utterance.path), r.utterance.speaker, *stamp(r.utterance.path)] for r in self.rows]
        settings = [[asdict(voice) for voice in self.voices], asdict(self.render), self.seed]
        key = json.dumps([clips, settings, describe_front_end(self.n_mels, "")])
        return hashlib.sha256(key.encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Shard:
    """One corpus: entry i is `frames[starts[i]:starts[i + 1]]`, of the class called `names[i]`."""

    frames: NDArray[np.float16]
    starts: NDArray[np.int64]
    names: NDArray[np.str_]
    groups: NDArray[np.int64]


def by_corpus(rows: Sequence[PreparedUtterance]) -> list[list[PreparedUtterance]]:
    """The rows of each corpus, corpora by name: another corpus then leaves what is computed of the others alone."""
    corpora = sorted({row.utterance.corpus for row in rows})
    return [[row for row in rows if row.utterance.corpus == corpus] for corpus in corpora]


def class_name(row: PreparedUtterance, voice: Voice) -> str:
    return f"{row.utterance.speaker}@{voice.name}"


def has_frames(n_samples: int, voices: Sequence[Voice]) -> bool:
    """Whether a clip fills a frame in every voice; one that does not is left out of training in all of them."""
    return n_samples > max(voice.speed for voice in voices) * (N_WINDOW_SAMPLES + 1)


def voiced_clips(row: PreparedUtterance, voices: Sequence[Voice]) -> list[tuple[Voice, Samples]]:
    """A clip in each voice; nothing of one that is left out, here as for a teacher's targets."""
    samples = read_samples(row.utterance.path)
    return [(voice, change_voice(samples, voice)) for voice in voices] if has_frames(len(samples), voices) else []


def open_features(
    rows: Sequence[PreparedUtterance],
    n_mels: int,
    folder: Path,
    *,
    voices: Sequence[Voice] = (Voice(),),
    render: RenderConfig | None = None,
    seed: int = 1,
    workers: int = 1,
) -> FeatureStore:
    """Opens the features of these rows, computing first those of the corpora that the folder does not have yet.

    The content is a function of the arguments but for `workers`, which are processes.
    """
    keys = [
        ShardKey(tuple(corpus), tuple(voices), render or RenderConfig(), n_mels, seed) for corpus in by_corpus(rows)
    ]
    shards = [_open_shard(key, folder, workers) for key in keys]
    classes = sorted({str(name) for shard in shards for name in shard.names})
    label_of = {name: label for label, name in enumerate(classes)}
    n_groups = np.cumsum([0] + [int(shard.groups[-1]) + 1 for shard in shards])
    return FeatureStore(
        frames=tuple(shard.frames for shard in shards),
        shards=np.concatenate([np.full(len(shard.names), i) for i, shard in enumerate(shards)]),
        starts=np.concatenate([shard.starts[:-1] for shard in shards]),
        ends=np.concatenate([shard.starts[1:] for shard in shards]),
        labels=np.array([label_of[str(name)] for shard in shards for name in shard.names]),
        groups=np.concatenate([shard.groups + n for shard, n in zip(shards, n_groups[:-1], strict=True)]),
        classes=tuple(classes),
    )


def _open_shard(key: ShardKey, folder: Path, workers: int) -> Shard:
    stem = folder / f"features-{key.digest()}"
    compute_once(stem.with_suffix(".npz"), lambda: _compute(key, stem, workers))
    index = np.load(stem.with_suffix(".npz"))
    starts = index["starts"]
    frames = np.memmap(stem.with_suffix(".f16"), dtype=np.float16, mode="r", shape=(int(starts[-1]), key.n_mels))
    return Shard(frames, starts, index["names"], index["groups"])


def _compute(key: ShardKey, stem: Path, workers: int) -> None:
    starts, names, groups = [0], [], []
    part = stem.with_suffix(".part")
    n_groups = 0
    with part.open("wb") as file, mapped(_Renderer, key, len(key.rows), workers) as results:
        description = f"Computing features of {key.rows[0].utterance.corpus}"
        for entries in track(results, description=description, total=len(key.rows)):
            for name, versions in entries:
                for log_mel in versions:
                    file.write(log_mel.tobytes())
                    starts.append(starts[-1] + len(log_mel))
                    names.append(name)
                    groups.append(n_groups)
                n_groups += 1
    if not names:
        raise CorpusError(f"no clip of {key.rows[0].utterance.corpus} fills a frame; leave the corpus out")
    part.replace(stem.with_suffix(".f16"))
    # The index comes last and whole: where it is, so are the frames.
    with part.open("wb") as file:
        np.savez(file, starts=np.array(starts), names=np.array(names), groups=np.array(groups))
    part.replace(stem.with_suffix(".npz"))


Entries = list[tuple[str, list[NDArray[np.float16]]]]
"""For each voice of one clip: its class's name, and its versions' log-mels (n_frames, n_mels)."""


class _Renderer:
    def __init__(self, key: ShardKey) -> None:
        self.key = key
        self.front_end = LogMel(key.n_mels).eval()
        self.rooms = build_rooms(key.render, key.seed)
        self.bank: list[tuple[str, Samples]] = []
        if key.render.n_versions > 1 and key.render.babble:
            chosen = np.random.default_rng([key.seed, BABBLE_STREAM]).permutation(len(key.rows))[:N_BABBLE_CLIPS]
            self.bank = [(key.rows[i].utterance.speaker, read_samples(key.rows[i].utterance.path)) for i in chosen]

    def __call__(self, index: int) -> Entries:
        row = self.key.rows[index]
        others = [samples for speaker, samples in self.bank if speaker != row.utterance.speaker]
        entries: Entries = []
        for number, (voice, samples) in enumerate(voiced_clips(row, self.key.voices)):
            versions = [samples]
            for version in range(1, self.key.render.n_versions):
                rng = np.random.default_rng([self.key.seed, VERSION_STREAM, index, number, version])
                versions.append(
                    render(samples, self.key.render, self.rooms, lambda r: others[int(r.integers(len(others)))], rng)
                    if others
                    else samples
                )
            entries.append((class_name(row, voice), [self._log_mel(version) for version in versions]))
        return entries

    def _log_mel(self, samples: Samples) -> NDArray[np.float16]:
        with torch.inference_mode():
            log_mel = self.front_end(torch.from_numpy(np.ascontiguousarray(samples)).unsqueeze(0))[0]
        return np.ascontiguousarray(log_mel.T.numpy().astype(np.float16))
