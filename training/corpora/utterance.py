"""Utterance: one clip of one speaker, as every reader yields it and every later stage takes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from model.errors import InvalidArgument

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".webm", ".m4a", ".mp4", ".gsm", ".g722"})
"""How files are named that `read_samples` reads. In lower case; compare `path.suffix.lower()`."""


class CorpusError(InvalidArgument):
    """A corpus folder or manifest that cannot be read as what it was said to be."""


@dataclass(frozen=True)
class Utterance:
    path: Path
    """The audio file, absolute."""
    corpus: str
    speaker: str
    """Unique across corpora: readers put the corpus before its own label."""
    session: str
    """Recording occasion; clips of one session share room and device."""
    gender: str
    """`f`, `m` or empty where the corpus does not say."""
    split: Split | None
    """None where the corpus has no split of its own; `splits.py` then assigns one."""
    age: float | None = None
    """Years, at the recording; None where the corpus does not say."""
