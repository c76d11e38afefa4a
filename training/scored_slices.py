"""A trial list, heard under conditions -> the scores of every slice that a report shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.demographics import Speaker
from training.heard import HeardClips
from training.metrics import Labels, Scores
from training.reports import ALL, Slice
from training.slices import condition_slice, demographic_slices, references
from training.trials import Trials

FULL = "full"
"""The condition that changes nothing."""


class Scorer(Protocol):
    """Judges clips against references, as the service would with this encoder's bundle."""

    def __call__(
        self, references: HeardClips, of_reference: NDArray[np.int64], probes: HeardClips, of_probe: NDArray[np.int64]
    ) -> tuple[Scores, Scores | None]:
        """(cosine scores, LLRs or None), (n_trials,) each.

        `of_reference` are the rows of `references` behind each trial's reference, (n_trials, n_clips), and `of_probe`
        the row of `probes` under test, (n_trials,).
        """
        ...


@dataclass(frozen=True, eq=False)
class ScoredSlice:
    slice: Slice
    n_enrollment_clips: int
    chosen: Labels
    """Which trials of the list, (n_trials,); the scores are theirs."""
    cosines: Scores
    llrs: Scores | None


def score_slices(
    trials: Trials, heard: Mapping[str, HeardClips], people: Mapping[Path, Speaker], scorer: Scorer
) -> Iterator[ScoredSlice]:
    """`heard` by condition, `full` among them. First the whole list, then references of several clips, then the slices."""
    whole = heard[FULL]
    single, everyone = trials.a[:, None], np.ones(len(trials.labels), dtype=np.bool_)
    several, has_several = references(trials)

    def score(
        found: Slice, clips: NDArray[np.int64], chosen: Labels, of_references: HeardClips, probes: HeardClips
    ) -> ScoredSlice:
        reference_rows, probe_rows = _rows(of_references, len(trials.paths)), _rows(probes, len(trials.paths))
        chosen = chosen & (reference_rows[clips] >= 0).all(axis=1) & (probe_rows[trials.b] >= 0)
        if not chosen.any():
            return ScoredSlice(found, clips.shape[1], chosen, np.zeros(0), None)
        cosines, llrs = scorer(of_references, reference_rows[clips[chosen]], probes, probe_rows[trials.b[chosen]])
        return ScoredSlice(found, clips.shape[1], chosen, cosines, llrs)

    all_trials = score(ALL, single, everyone, whole, whole)
    yield all_trials
    yield score(ALL, several, has_several, whole, whole)
    for condition, probes in heard.items():
        if condition != FULL:
            yield score(condition_slice(condition, "both"), single, everyone, probes, probes)
            yield score(condition_slice(condition, "probe"), single, everyone, whole, probes)
            yield score(condition_slice(condition, "probe"), several, has_several, whole, probes)
    for found, chosen in demographic_slices(trials, people).items():
        llrs = None if all_trials.llrs is None else all_trials.llrs[chosen]
        yield ScoredSlice(found, 1, chosen, all_trials.cosines[chosen], llrs)


def _rows(heard: HeardClips, n_clips: int) -> NDArray[np.int64]:
    """Row of each clip of the list, (n_clips,); -1 where the condition left it out."""
    rows = np.full(n_clips, -1, dtype=np.int64)
    rows[heard.clips] = np.arange(len(heard.clips))
    return rows
