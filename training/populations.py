"""Which strangers a calibration tells a voice from: those most like it, as far as the corpora say who speaks.

An impostor is rarely somebody of another gender, and a child rarely passes for an adult, so such pairs are easy, and a
threshold that they helped to choose lets more strangers pass than it says. NIST's speaker recognition evaluations have
no trials across genders either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.corpora.utterance import Utterance
from training.demographics import Speaker

MIN_PAIRS = 30
"""Pairs of two alike speakers that a corpus must have; with fewer, everybody in it is a stranger to everybody."""


@dataclass(frozen=True, eq=False)
class Populations:
    numbers: NDArray[np.int64]
    """(n_clips,): a non-target trial has two clips of one number."""
    corpora: tuple[str, ...]
    """The corpus of each number."""
    strangers: str
    """Who tries to pass for whom, for cards: `strangers of ...`."""

    def of_corpus(self, corpus: str) -> NDArray[np.int64]:
        return np.flatnonzero(np.array(self.corpora) == corpus)


def populations(clips: Sequence[Utterance]) -> Populations:
    """Speakers of one corpus, gender and age group (children, adults) are one population; voices of two corpora never meet.

    Two recordings of different corpora would be told apart by their rooms and microphones.
    """
    alike = {corpus for corpus in {clip.corpus for clip in clips} if _n_pairs(clips, corpus) >= MIN_PAIRS}
    keys = [(clip.corpus, *(_group(clip) if clip.corpus in alike else ("", None))) for clip in clips]
    names = sorted(set(keys), key=str)
    numbers = np.array([names.index(key) for key in keys], dtype=np.int64)
    return Populations(numbers, tuple(name[0] for name in names), _strangers(alike, {clip.corpus for clip in clips}))


def _group(clip: Utterance) -> tuple[str, bool | None]:
    return clip.gender, Speaker(clip.gender, clip.age).is_child


def _n_pairs(clips: Sequence[Utterance], corpus: str) -> int:
    """Of speakers whose gender or age group is known, and of whom neither differs; 0 where nothing is known."""
    groups = {clip.speaker: _group(clip) for clip in clips if clip.corpus == corpus}
    counts = [list(groups.values()).count(group) for group in set(groups.values()) if group != ("", None)]
    return sum(n * (n - 1) // 2 for n in counts)


def _strangers(alike: set[str], corpora: set[str]) -> str:
    if not alike:
        return "strangers of any gender and age"
    of_whom = "strangers of the same gender and age group"
    return of_whom if alike == corpora else f"{of_whom} in {', '.join(sorted(alike))}, of any elsewhere"
