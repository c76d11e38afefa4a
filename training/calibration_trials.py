"""The held-out speakers' clips, heard under many conditions -> the trials that a calibration is fitted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from model.calibration import SideInformation
from model.scoring import Embedding
from training.conditions import Condition, cut_between, full, in_noise, one_after_another, through_any
from training.heard import HeardClips, joined_clips
from training.metrics import Labels

SHORTEST_S, LONGEST_S = 0.3, 10.0
"""Net speech that clips are cut to: from what says next to nothing to what says nearly all."""
NOISE_DB = (5.0, 25.0)

_CUT = cut_between(SHORTEST_S, LONGEST_S)
_NOISE = in_noise(*NOISE_DB)
CONDITIONS: Mapping[str, tuple[Condition, ...]] = {
    "whole": (full,),
    "cut": (_CUT, _CUT, _CUT),
    "noisy": (_NOISE, one_after_another(_CUT, _NOISE)),
    "coded": (through_any, one_after_another(_CUT, through_any)),
}
"""What a clip is heard as, by name; those that draw at random, several times."""
CLEAN = ("whole", "cut")
WEIGHTS: Mapping[str, float] = {"whole": 1.0, "cut": 1.0, "noisy": 0.25, "coded": 0.25}
"""How much each counts in the fit, on either side: four in five are clean. What a codec did is in no side information, so
the more of it is fitted on, the less is believed of clean clips; the less, the more of coded ones."""

N_REFERENCE_CLIPS = 3
N_REFERENCES = 20
"""References made of each speaker's clips under each condition."""
N_TARGET, N_NON_TARGET = 6_000, 16_000
"""Trials of one kind at most; beyond that they repeat what the same few speakers say."""
N_SIDES = 3_000
"""Clips of one condition at most, drawn at random from more."""
SEED = 1


@dataclass(frozen=True, eq=False)
class Sides:
    """Clips of one condition, or references of several clips: what may stand on one side of a trial."""

    name: str
    condition: str
    """One of CONDITIONS."""
    embeddings: Embedding
    """(n, n_embedding) unit."""
    information: SideInformation
    """Of n sides."""
    speakers: NDArray[np.int64]
    populations: NDArray[np.int64]
    """(n,): no trial has one of each of two (`populations.py`)."""
    clips: NDArray[np.int64]
    """(n, n_clips): which recordings each is made of; a trial never has one on both sides."""


@dataclass(frozen=True, eq=False)
class TrialSet:
    """Trials of one kind: trial t is a.embeddings[a_index[t]] against b.embeddings[b_index[t]]."""

    name: str
    a: Sides
    b: Sides
    a_index: NDArray[np.int64]
    b_index: NDArray[np.int64]
    labels: Labels

    @property
    def weight(self) -> float:
        return WEIGHTS[self.a.condition] * WEIGHTS[self.b.condition]

    @property
    def is_clean(self) -> bool:
        return self.a.condition in CLEAN and self.b.condition in CLEAN

    def among(self, chosen: NDArray[np.bool_]) -> TrialSet:
        """The trials that are True, (n_trials,)."""
        return replace(self, a_index=self.a_index[chosen], b_index=self.b_index[chosen], labels=self.labels[chosen])

    def cosines(self) -> NDArray[np.float64]:
        """(n_trials,)."""
        a, b = self.a.embeddings[self.a_index], self.b.embeddings[self.b_index]
        cosines: NDArray[np.float64] = np.einsum("td,td->t", a, b, dtype=np.float64)
        return cosines


def conditions_to_hear() -> dict[str, Condition]:
    """For `hear_files`: every draw of CONDITIONS under a name of its own."""
    return {_draw(name, i): condition for name, draws in CONDITIONS.items() for i, condition in enumerate(draws)}


def whole_clips_to_hear() -> dict[str, Condition]:
    """What `every_pair` needs of `conditions_to_hear`."""
    return {_draw("whole", 0): full}


def calibration_trials(
    heard: Mapping[str, HeardClips], speakers: NDArray[np.int64], populations: NDArray[np.int64]
) -> list[TrialSet]:
    """`heard` by the names of `conditions_to_hear`; `speakers` and `populations` are those of the listed clips.

    One clip against one, and a reference of three against one, for every pair of conditions. Kinds without both target
    and non-target trials are left out, as are conditions that no clip could meet.
    """
    rng = np.random.default_rng(SEED)
    singles = []
    for name, conditions in CONDITIONS.items():
        draws = [found for i in range(len(conditions)) if len(found := heard[_draw(name, i)])]
        if draws:
            singles.append(single_clips(name, draws, speakers, populations, rng))
    references = [references_of(sides, rng) for sides in singles]
    sets = [_trials(a, b, rng) for a, b in _pairs(singles, references)]
    return [found for found in sets if found.labels.any() and not found.labels.all()]


def every_pair(
    heard: Mapping[str, HeardClips], speakers: NDArray[np.int64], populations: NDArray[np.int64]
) -> TrialSet:
    """Every two whole clips of one population, each pair once."""
    whole = heard[_draw("whole", 0)]
    recordings = whole.clips
    own, of = speakers[recordings], populations[recordings]
    sides = Sides("whole", "whole", whole.embeddings, whole.information, own, of, recordings[:, None])
    a, b = np.triu_indices(len(whole), k=1)
    together = of[a] == of[b]
    return TrialSet("whole / whole", sides, sides, a[together], b[together], own[a[together]] == own[b[together]])


def _pairs(singles: Sequence[Sides], references: Sequence[Sides]) -> Iterator[tuple[Sides, Sides]]:
    for i, a in enumerate(singles):
        for b in singles[i:]:
            yield a, b
    for a in references:
        for b in singles:
            yield a, b


def single_clips(
    name: str,
    draws: Sequence[HeardClips],
    speakers: NDArray[np.int64],
    populations: NDArray[np.int64],
    rng: np.random.Generator,
) -> Sides:
    """The clips of every draw."""
    clips = np.concatenate([heard.clips for heard in draws])
    kept = np.sort(rng.permutation(len(clips))[:N_SIDES])
    information = SideInformation(
        speech_s=np.concatenate([heard.speech_s for heard in draws])[kept],
        n_clips=np.ones(len(kept)),
        snr_db=np.concatenate([heard.snr_db for heard in draws])[kept],
    )
    embeddings = np.concatenate([heard.embeddings for heard in draws])[kept]
    recordings = clips[kept]
    own, of = speakers[recordings], populations[recordings]
    return Sides(name, name, embeddings, information, own, of, recordings[:, None])


def references_of(sides: Sides, rng: np.random.Generator, n_clips: int = N_REFERENCE_CLIPS) -> Sides:
    """References of `n_clips` different recordings of one speaker, as the service makes them.

    Speakers with no recording left for a probe have none.
    """
    chosen: list[NDArray[np.int64]] = []
    recordings = sides.clips[:, 0]
    for speaker in np.unique(sides.speakers):
        own = np.flatnonzero(sides.speakers == speaker)
        different = np.unique(recordings[own])
        if len(different) <= n_clips:
            continue
        for _ in range(N_REFERENCES):
            kept = rng.choice(different, n_clips, replace=False)
            chosen.append(np.array([rng.choice(own[recordings[own] == recording]) for recording in kept]))
    rows = np.array(chosen, dtype=np.int64).reshape(-1, n_clips)
    embeddings, information = joined_clips(sides.embeddings, sides.information, rows)
    return Sides(
        f"{n_clips} {sides.name}",
        sides.condition,
        embeddings,
        information,
        sides.speakers[rows[:, 0]],
        sides.populations[rows[:, 0]],
        recordings[rows],
    )


def _trials(a: Sides, b: Sides, rng: np.random.Generator) -> TrialSet:
    is_target = a.speakers[:, None] == b.speakers[None, :]
    allowed = a.populations[:, None] == b.populations[None, :]
    for clips in a.clips.T:
        allowed &= clips[:, None] != b.clips[:, 0][None, :]
    if a is b:
        allowed &= ~np.tri(len(a.speakers), dtype=np.bool_)  # each pair once
    found = [_some(np.argwhere(is_target & allowed), N_TARGET, rng)]
    found.append(_some(np.argwhere(~is_target & allowed), N_NON_TARGET, rng))
    index = np.concatenate(found)
    return TrialSet(f"{a.name} / {b.name}", a, b, index[:, 0], index[:, 1], np.arange(len(index)) < len(found[0]))


def _some(pairs: NDArray[np.int64], n_most: int, rng: np.random.Generator) -> NDArray[np.int64]:
    if len(pairs) <= n_most:
        return pairs
    return pairs[np.sort(rng.choice(len(pairs), n_most, replace=False))]


def _draw(name: str, i: int) -> str:
    return f"{name} {i}"
