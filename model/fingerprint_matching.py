"""Two fingerprints -> the evidence that they are of one recording.

The probe is laid along a kept clip without gaps, as trimming leaves it. Each pair of words that meet says how much likelier
the bits in which they differ are if both are one recording than if not, and the evidence is the highest sum over a stretch
of them: so it does not matter what was cut off at either end, or put around it. Looking only at alignments that are
proposed by single words that nearly agree is what makes it fast.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.fingerprint import KEPT_EVERY_HOPS, N_BITS, Fingerprint

P_DIFFERS = 0.25
"""That a bit differs, where both are one recording that fared badly in between."""
P_DIFFERS_BY_CHANCE = 0.40
"""The same at the best alignment of two takes by one speaker."""
MAX_WORD_EVIDENCE = 4.0
"""What one pair of words can say, in nats. Without it a beep that two clips have in common would do."""
MAX_SEED_DISTANCE = 8
"""Bits in which two words may differ to propose an alignment."""
N_ALIGNMENTS = 3
"""Of a clip that are looked at: those that most words propose."""
N_PAIRS_AT_ONCE = 1 << 18
"""Of words; what stays in a processor's cache."""


def _word_evidence() -> NDArray[np.float32]:
    """By the number of bits in which two words differ, from 0 to N_BITS, in nats."""
    differing = np.arange(N_BITS + 1)
    differs = np.log(P_DIFFERS / P_DIFFERS_BY_CHANCE)
    agrees = np.log((1 - P_DIFFERS) / (1 - P_DIFFERS_BY_CHANCE))
    evidence = differing * differs + (N_BITS - differing) * agrees
    return np.asarray(np.minimum(evidence, MAX_WORD_EVIDENCE), dtype=np.float32)


_WORD_EVIDENCE = _word_evidence()


def replay_evidence(probe: Fingerprint, clips: Sequence[Fingerprint]) -> NDArray[np.float32]:
    """(n_clips,), in nats, 0 or more: that the probe and each clip are one recording.

    `probe` has all of its words, each of `clips` those that `kept` left.
    """
    offsets = _proposed_offsets(probe, clips)
    n_longest = max(map(len, clips), default=0)
    padded = np.zeros((len(clips), 1, n_longest), dtype=np.uint32)
    for row, clip in zip(padded, clips, strict=True):
        row[0, : len(clip)] = clip
    places = offsets[:, :, None] + KEPT_EVERY_HOPS * np.arange(n_longest)
    met = np.where((places >= 0) & (places < len(probe)), probe.take(places, mode="clip") if len(probe) else 0, 0)
    evidence = _WORD_EVIDENCE[np.bitwise_count(padded ^ met)]
    evidence[(padded == 0) | (met == 0)] = 0
    # The highest sum over a stretch: the running sum over its lowest value before.
    sums = np.cumsum(evidence, axis=2)
    before = np.minimum(np.minimum.accumulate(sums, axis=2), 0)
    best: NDArray[np.float32] = (sums - before).max(axis=(1, 2), initial=0)
    return best


def _proposed_offsets(probe: Fingerprint, clips: Sequence[Fingerprint]) -> NDArray[np.intp]:
    """(n_clips, N_ALIGNMENTS): at which word of the probe each clip begins; it may be a negative one."""
    n_longest = max(map(len, clips), default=0) * KEPT_EVERY_HOPS
    n_offsets = n_longest + len(probe) + N_ALIGNMENTS
    words = np.concatenate([np.zeros(0, dtype=np.uint32), *clips])
    owners = np.repeat(np.arange(len(clips)), [len(clip) for clip in clips])
    places = np.concatenate([np.zeros(0, dtype=np.intp), *(np.arange(len(clip)) for clip in clips)])
    sounding, heard = np.flatnonzero(words), np.flatnonzero(probe)
    # Each clip has a counter for each offset.
    firsts = (owners * n_offsets + n_longest - KEPT_EVERY_HOPS * places)[sounding]
    votes = np.zeros(len(clips) * n_offsets, dtype=np.intp)
    n_rows = N_PAIRS_AT_ONCE // max(1, len(heard))
    for start in range(0, len(sounding), n_rows):
        rows = sounding[start : start + n_rows]
        distances = np.bitwise_count(words[rows, None] ^ probe[heard])
        # Over the flat array: nine times as fast as over two dimensions.
        row, column = np.divmod(np.flatnonzero(distances <= MAX_SEED_DISTANCE), len(heard))
        votes += np.bincount(firsts[start + row] + heard[column], minlength=len(votes))
    by_clip = votes.reshape(len(clips), n_offsets)
    return np.argpartition(by_clip, n_offsets - N_ALIGNMENTS, axis=1)[:, -N_ALIGNMENTS:] - n_longest
