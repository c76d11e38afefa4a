"""Speaker-disjoint train, validation and test splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from training.corpora.utterance import CorpusError, Split, Utterance

MIN_TRAINING_SPEAKERS = 4
"""With fewer, none can be spared for validation."""
N_NAMED = 5
"""Speakers that an error message names."""


def assign_splits(
    utterances: Sequence[Utterance], *, validation_fraction: float, test_fraction: float, seed: int
) -> list[Utterance]:
    """Gives every utterance a split; a speaker is in one only.

    A corpus's own splits are kept. Speakers without one are drawn at random by `seed`: into validation and, where
    their corpus has no test split of its own, into test; the rest train. A train speaker of a corpus that lacks
    validation (TIMIT) may be drawn because its reader leaves the split open. Where nobody at all would be left for
    validation, two speakers or `validation_fraction` of those that train are drawn: without any, nothing can be
    calibrated.
    Raises CorpusError where a speaker stands in two splits.
    """
    own = _own_splits(utterances)
    with_test = {u.corpus for u in utterances if u.split == "test"}
    assigned = dict(own)
    rng = np.random.default_rng(seed)
    for corpus in sorted({u.corpus for u in utterances}):
        open_speakers = sorted({u.speaker for u in utterances if u.corpus == corpus} - assigned.keys())
        order = [open_speakers[i] for i in rng.permutation(len(open_speakers))]
        n_test = 0 if corpus in with_test else round(test_fraction * len(order))
        n_validation = round(validation_fraction * len(order))
        for position, speaker in enumerate(order):
            is_test, is_validation = position < n_test, position < n_test + n_validation
            assigned[speaker] = "test" if is_test else "validation" if is_validation else "train"
    training = sorted(speaker for speaker, split in assigned.items() if split == "train")
    if "validation" not in assigned.values() and validation_fraction > 0 and len(training) >= MIN_TRAINING_SPEAKERS:
        n_validation = max(2, round(validation_fraction * len(training)))
        assigned |= {training[i]: "validation" for i in rng.permutation(len(training))[:n_validation]}
    return [replace(utterance, split=assigned[utterance.speaker]) for utterance in utterances]


def _own_splits(utterances: Sequence[Utterance]) -> dict[str, Split]:
    """Of the speakers whose corpus places them. Raises CorpusError naming those that stand in two splits."""
    own: dict[str, Split] = {}
    torn: dict[str, str] = {}
    for u in utterances:
        if u.split is not None and own.setdefault(u.speaker, u.split) != u.split:
            torn[u.speaker] = f"speaker {u.speaker} is in {own[u.speaker]} and in {u.split}"
    if torn:
        named = "; ".join(list(torn.values())[:N_NAMED])
        more = f"; and {len(torn) - N_NAMED} more" if len(torn) > N_NAMED else ""
        raise CorpusError(f"a speaker belongs to one split, but {named}{more}")
    return own
