"""LLR + OperatingPoint + Quality -> Decision: the only place that compares with a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from model.quality import Quality

Outcome = Literal["accept", "reject", "inconclusive"]
Reason = Literal["not_enough_speech", "too_noisy", "ambiguous", "empty_gallery", "replay_suspected"]
Flag = Literal["replay_suspected"]
"""What warns of a clip, and by itself changes no decision."""
ReplayPolicy = Literal["flag", "refuse"]

MIN_REPLAY_EVIDENCE = 28.0
"""In nats, from which on two clips are one recording. Two takes of a word of half a second had up to 18 where they are most
alike, and a phrase holds several words (`bench/replay.py`).
"""


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold with the error rates it had, and where those were measured."""

    name: str
    llr: float
    """Accept at this LLR or above."""
    fmr: float
    fnmr: float
    fmr_interval: tuple[float, float]
    """95 % bootstrap interval over speakers; likewise for fnmr."""
    fnmr_interval: tuple[float, float]
    n_target: int
    n_non_target: int
    measured_on: str


@dataclass(frozen=True)
class QualityGate:
    """What a clip must have before its score decides anything."""

    min_speech_s: float
    min_snr_db: float

    def reasons(self, quality: Quality) -> tuple[Reason, ...]:
        """Why this clip decides nothing; empty when it may."""
        found: list[Reason] = []
        if quality.speech_s < self.min_speech_s:
            found.append("not_enough_speech")
        if quality.snr_db is not None and quality.snr_db < self.min_snr_db:
            found.append("too_noisy")
        return tuple(found)


@dataclass(frozen=True)
class Decision:
    outcome: Outcome
    reasons: tuple[Reason, ...] = ()


def decide(llr: float | None, point: OperatingPoint, qualities: Sequence[Quality], gate: QualityGate) -> Decision:
    """One trial: `llr` is None where a clip gave no embedding, which the gate must have a reason for."""
    reasons = tuple(dict.fromkeys(reason for quality in qualities for reason in gate.reasons(quality)))
    if llr is None and not reasons:
        reasons = ("not_enough_speech",)
    if reasons or llr is None:
        return Decision("inconclusive", reasons)
    return Decision("accept" if llr >= point.llr else "reject")


@dataclass(frozen=True)
class EarlyRule:
    """When a recording that goes on has said enough. Measured by bench/streaming.py, so that the errors stay those of whole
    recordings.
    """

    accept_margin: float
    """Natural-log LLR above the threshold."""
    reject_margin: float
    """Below it: somebody's first words are less like him than a stranger's are unlike."""
    min_speech_s: float


EARLY = EarlyRule(accept_margin=2.0, reject_margin=3.0, min_speech_s=2.0)
"""On the half of the development speakers that did not choose it: see bench/RESULTS.md, Streaming."""


def has_said_enough(
    llr: float | None, point: OperatingPoint, quality: Quality, gate: QualityGate, rule: EarlyRule
) -> bool:
    """Whether a decision now would hardly be another one later.

    A sequential test with two constant boundaries around the threshold (Wald 1945), on a ratio that is of the whole
    recording so far, not a sum over pieces: so the boundaries are measured, not computed from error rates.
    """
    if llr is None or gate.reasons(quality) or quality.speech_s < rule.min_speech_s:
        return False
    return llr >= point.llr + rule.accept_margin or llr <= point.llr - rule.reject_margin


def coheres(llr: float, min_llr: float) -> bool:
    """Whether a clip may join a speaker's others: `llr` is that of the clip against all of them together.

    A looser question than a verification: the limit only keeps out what is plainly another voice.
    """
    return llr >= min_llr


def decide_identification(
    llrs: Sequence[float],
    n_searched: int,
    point: OperatingPoint,
    quality: Quality,
    gate: QualityGate,
    margin: float,
) -> Decision:
    """The whole answer to "who is it": `llrs` are those of the candidates, best first, one a speaker.

    Among n speakers the best impostor of n is found, so the threshold rises by ln(n) (a Bonferroni bound on the
    false-match rate). A best candidate that reaches it but does not lead the second by `margin` is inconclusive.
    """
    reasons = gate.reasons(quality)
    if reasons:
        return Decision("inconclusive", reasons)
    if n_searched == 0 or not llrs:
        return Decision("reject", ("empty_gallery",))
    if llrs[0] < point.llr + math.log(n_searched):
        return Decision("reject")
    if len(llrs) > 1 and llrs[0] - llrs[1] < margin:
        return Decision("inconclusive", ("ambiguous",))
    return Decision("accept")


def is_replay(evidence: float) -> bool:
    """Whether a clip is a recording that was heard before: `evidence` is the highest against any of those."""
    return evidence >= MIN_REPLAY_EVIDENCE


def decide_replay(decision: Decision, flags: Sequence[Flag], policy: ReplayPolicy) -> Decision:
    """What a decision becomes by its clip's flags: with `refuse`, a recording that was heard before opens nothing."""
    return Decision("reject", ("replay_suspected",)) if refuses_replay(flags, policy) else decision


def refuses_replay(flags: Sequence[Flag], policy: ReplayPolicy) -> bool:
    return policy == "refuse" and "replay_suspected" in flags
