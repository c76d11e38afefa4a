"""Which trials a report looks at on their own: those of one gender or age, and those that a list can support.

What is done to clips (cut, noise, codecs) is in `conditions.py`; here such a condition only gets its place in the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.demographics import UNKNOWN, Speaker
from training.metrics import Labels
from training.reports import Slice
from training.trials import Trials

MIN_TRIALS = 30
"""Of each kind; with fewer, one error moves the rate by more than 3 %."""
MIN_SPEAKERS = 5
"""With a target trial; an interval over fewer speakers means nothing."""
N_ENROLLMENT_CLIPS = 3


def restricted(trials: Trials, chosen: Labels) -> Trials:
    """The chosen trials, with their clips alone: the bootstrap then draws from the speakers that are left."""
    a, b = trials.a[chosen], trials.b[chosen]
    clips = np.unique(np.concatenate([a, b]))
    return replace(
        trials,
        paths=tuple(trials.paths[i] for i in clips) if trials.paths else (),
        a=np.searchsorted(clips, a),
        b=np.searchsorted(clips, b),
        labels=trials.labels[chosen],
        speakers=trials.speakers[clips],
    )


def too_few(trials: Trials) -> str | None:
    """Why these trials support no error rate, or None where they do."""
    n_target, n_non_target = int(trials.labels.sum()), int((~trials.labels).sum())
    n_speakers = len(np.unique(trials.speakers[trials.a[trials.labels]]))
    if min(n_target, n_non_target) < MIN_TRIALS or n_speakers < MIN_SPEAKERS:
        return (
            f"{n_target} target trials of {n_speakers} speakers and {n_non_target} non-target trials; "
            f"{MIN_TRIALS} of each kind and {MIN_SPEAKERS} speakers are needed"
        )
    return None


def demographic_slices(trials: Trials, people: Mapping[Path, Speaker]) -> dict[Slice, Labels]:
    """Slice -> which trials, for every slice that the list has a clip of: both clips of one gender, or of one age group."""
    clips = [people.get(path.resolve(), UNKNOWN) for path in trials.paths]
    groups = {
        Slice("gender", "female"): [clip.gender == "f" for clip in clips],
        Slice("gender", "male"): [clip.gender == "m" for clip in clips],
        Slice("age", "adults"): [clip.is_child is False for clip in clips],
        Slice("age", "children"): [clip.is_child is True for clip in clips],
    }
    belongs = {found: np.array(members, dtype=np.bool_) for found, members in groups.items() if any(members)}
    return {found: members[trials.a] & members[trials.b] for found, members in belongs.items()}


def references(trials: Trials, n_clips: int = N_ENROLLMENT_CLIPS) -> tuple[NDArray[np.int64], Labels]:
    """(clips of each trial's reference, (n_trials, n_clips); which trials have one).

    A reference is the trial's first clip and those of the same speaker that follow it in the list, the last followed by
    the first; never the probe. A speaker with too few clips has none.
    """
    found = np.zeros((len(trials.a), n_clips), dtype=np.int64)
    has_one = np.zeros(len(trials.a), dtype=np.bool_)
    clips_of = {int(speaker): np.flatnonzero(trials.speakers == speaker) for speaker in np.unique(trials.speakers)}
    for row, (a, b) in enumerate(zip(trials.a.tolist(), trials.b.tolist(), strict=True)):
        own = clips_of[int(trials.speakers[a])]
        following = np.roll(own, -int(np.searchsorted(own, a)))
        following = following[following != b][:n_clips]
        if len(following) == n_clips:
            found[row], has_one[row] = following, True
    return found, has_one


_PLACES = {"speech": "net_speech", "snr": "noise"}


def condition_slice(condition: str, on: str) -> Slice:
    """Where a condition of `conditions.py` stands in the report: `speech_2s` as `2 s` of `net_speech`, others under `codec`."""
    kind, _, amount = condition.partition("_")
    if kind not in _PLACES or not amount:
        return Slice("codec", condition, on)
    number = amount.rstrip("sdb")
    return Slice(_PLACES[kind], f"{number} {amount.removeprefix(number).replace('db', 'dB')}", on)
