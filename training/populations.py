"""Which strangers a calibration tells a voice from: those most like it, as far as the corpora say who speaks.

An impostor is rarely somebody of another gender, and a child rarely passes for an adult, so such pairs are easy, and a
threshold that they helped to choose lets more strangers pass than it says.
"""

from __future__ import annotations

from collections import Counter
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

    Two recordings of different corpora would be told apart by their rooms and microphones. A speaker is in one population:
    where single clips disagree, as the last one says.
    """
    groups = {clip.speaker: (clip.corpus, clip.gender, Speaker(clip.gender, clip.age).is_child) for clip in clips}
    sizes = Counter(group for group in groups.values() if group[1:] != ("", None))
    n_pairs: Counter[str] = Counter()
    for (corpus, *_), n in sizes.items():
        n_pairs[corpus] += n * (n - 1) // 2
    corpora = {clip.corpus for clip in clips}
    alike = {corpus for corpus in corpora if n_pairs[corpus] >= MIN_PAIRS}
    keys = [groups[clip.speaker] if clip.corpus in alike else (clip.corpus, "", None) for clip in clips]
    names = sorted(set(keys), key=str)
    numbers = np.array([names.index(key) for key in keys], dtype=np.int64)
    return Populations(numbers, tuple(name[0] for name in names), _strangers(alike, corpora))


def _strangers(alike: set[str], corpora: set[str]) -> str:
    if not alike:
        return "strangers of any gender and age"
    of_whom = "strangers of the same gender and age group"
    return of_whom if alike == corpora else f"{of_whom} in {', '.join(sorted(alike))}, of any elsewhere"
