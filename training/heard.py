"""Clips as the service hears them, under named conditions: embedding, net speech and signal-to-noise ratio of each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from torch import nn

from model.calibration import SideInformation
from model.embedding import MIN_SAMPLES, embed
from model.quality import Detector, assess
from model.scoring import Embedding, unit
from model.speech import SpeechDetector
from model.waveform import SAMPLE_RATE_HZ, Samples, Source, Waveform
from training.conditions import Condition, full
from training.dataset import read_clip

SEED = 1
_SOURCE = Source("samples", SAMPLE_RATE_HZ, 1)


@dataclass(frozen=True, eq=False)
class HeardClips:
    """What was heard of a list of clips under one condition. Row i is clip `clips[i]` of the list, in its order.

    A condition that some clips cannot meet (five seconds of speech out of four) leaves those out.
    """

    clips: NDArray[np.int64]
    embeddings: Embedding
    """(n, n_embedding), unit length."""
    speech_s: NDArray[np.float64]
    snr_db: NDArray[np.float64]
    """NaN where speech or pause is missing."""

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def information(self) -> SideInformation:
        """Of each row as one clip of its own."""
        return SideInformation(self.speech_s, np.ones(len(self)), self.snr_db)


def joined_clips(
    embeddings: Embedding, information: SideInformation, rows: NDArray[np.int64]
) -> tuple[Embedding, SideInformation]:
    """(n, n_clips) rows of single clips -> n references, (n, n_embedding) unit, made of them as the service makes one."""
    speech_s, snr_db = np.asarray(information.speech_s)[rows], np.asarray(information.snr_db)[rows]
    is_measured = np.isfinite(snr_db)
    totals_db, counts = np.where(is_measured, snr_db, 0.0).sum(axis=1), is_measured.sum(axis=1)
    means_db = np.where(counts > 0, totals_db / np.maximum(counts, 1), np.nan)
    joined = SideInformation(speech_s.sum(axis=1), np.full(len(rows), float(rows.shape[1])), means_db)
    return unit(unit(embeddings)[rows].mean(axis=1)), joined


def hear_files(
    module: nn.Module, paths: Sequence[Path], conditions: Mapping[str, Condition], title: str, seed: int = SEED
) -> dict[str, HeardClips]:
    """Decodes every clip once and hears it under every condition; the result has the conditions' names.

    What a condition draws depends on the seed, its own name and the clip's file, not on the other clips or conditions.
    Raises CorpusError naming a clip that cannot be decoded or is shorter than one frame.
    """
    detector = SpeechDetector()
    heard: dict[str, list[_Heard]] = {name: [] for name in conditions}
    for index, path in enumerate(track(paths, description=title)):
        samples = read_clip(path)
        for name, condition in conditions.items():
            changed = condition(samples, detector, _generator(seed, name, path))
            if changed is not None and len(changed) >= MIN_SAMPLES:
                heard[name].append(_hear(module, changed, detector, index))
    return {name: _joined(found) for name, found in heard.items()}


def hear_whole(module: nn.Module, paths: Sequence[Path], title: str) -> HeardClips:
    """Every clip as it is: one row for each path. Raises CorpusError, as `hear_files`."""
    return hear_files(module, paths, {"full": full}, title)["full"]


@dataclass(frozen=True, eq=False)
class _Heard:
    clip: int
    embedding: Embedding
    speech_s: float
    snr_db: float


def _generator(seed: int, condition: str, path: Path) -> np.random.Generator:
    """From the file's name and its folder's, so that a corpus may lie anywhere."""
    digest = hashlib.sha256("\n".join([condition, path.parent.name, path.name]).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def _hear(module: nn.Module, samples: Samples, detector: Detector, clip: int) -> _Heard:
    quality = assess(Waveform(samples, _SOURCE), detector)
    snr_db = np.nan if quality.snr_db is None else quality.snr_db
    return _Heard(clip, unit(embed(module, [samples])[0]), quality.speech_s, snr_db)


def _joined(found: Sequence[_Heard]) -> HeardClips:
    return HeardClips(
        clips=np.array([heard.clip for heard in found], dtype=np.int64),
        embeddings=np.array([heard.embedding for heard in found], dtype=np.float32),
        speech_s=np.array([heard.speech_s for heard in found], dtype=np.float64),
        snr_db=np.array([heard.snr_db for heard in found], dtype=np.float64),
    )
