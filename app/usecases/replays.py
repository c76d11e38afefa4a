"""Recordings that were heard before: told by their fingerprints, flagged or refused, and remembered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.ports import FingerprintStore
from app.records import Clip, Identification, Verification
from app.stages import stage
from model.decision import Flag, ReplayPolicy, decide_replay, is_replay, refuses_replay
from model.errors import ReplaySuspected
from model.fingerprint import Fingerprint, kept
from model.fingerprint_matching import replay_evidence


@dataclass(frozen=True)
class ReplayRule:
    """Two calls at once do not see each other's clips."""

    fingerprints: FingerprintStore
    policy: ReplayPolicy

    def compared(self, result: Verification) -> Verification:
        """Of two clips, which may be one recording. Nothing is remembered."""
        a, b = result.clips
        if a.fingerprint is None or b.fingerprint is None:
            return result
        return self._with_flags(result, _flags(a.fingerprint, [kept(b.fingerprint)]))

    def verified(self, result: Verification, clip: Clip, number: int) -> Verification:
        """Of a clip that this speaker was claimed with, which is remembered whatever came of it."""
        if clip.fingerprint is None:
            return result
        flags = _flags(clip.fingerprint, self.fingerprints.of_speaker(number))
        self.fingerprints.remember(number, kept(clip.fingerprint))
        return self._with_flags(result, flags)

    def identified(self, result: Identification) -> Identification:
        """Held against what the best candidate is known by, and remembered there where it is accepted."""
        words = result.clip.fingerprint
        if words is None or not result.candidates:
            return result
        best, *others = result.candidates
        flags = _flags(words, self.fingerprints.of_speaker(best.number))
        best = replace(best, decision=decide_replay(best.decision, flags, self.policy))
        decision = decide_replay(result.decision, flags, self.policy)
        if decision.outcome == "accept":
            self.fingerprints.remember(best.number, kept(words))
        return replace(result, decision=decision, candidates=(best, *others), flags=flags)

    def first_known(self, clips: Mapping[str, Clip], number: int) -> str | None:
        """The name of the first clip that was heard of the speaker before, or that is another of these again."""
        words_of = {name: clip.fingerprint for name, clip in clips.items() if clip.fingerprint is not None}
        known = list(self.fingerprints.of_speaker(number)) if words_of else []
        for name, words in words_of.items():
            if _flags(words, known):
                return name
            known.append(kept(words))
        return None

    def flags_to_enroll(self, name: str) -> tuple[Flag, ...]:
        """Of clips among which this one is known. Raises ReplaySuspected where it is to be refused."""
        flags: tuple[Flag, ...] = ("replay_suspected",)
        if refuses_replay(flags, self.policy):
            raise ReplaySuspected(
                f"{name} is a recording that was enrolled or verified for this speaker before, or that is sent twice in "
                "this call; each is taken once (VOUCH_REPLAY_POLICY). Make a new recording."
            )
        return flags

    def _with_flags(self, result: Verification, flags: tuple[Flag, ...]) -> Verification:
        return replace(result, flags=flags, decision=decide_replay(result.decision, flags, self.policy))


def _flags(words: Fingerprint, known: Sequence[Fingerprint]) -> tuple[Flag, ...]:
    with stage("replay"):
        evidence = float(replay_evidence(words, known).max(initial=0.0))
    return ("replay_suspected",) if is_replay(evidence) else ()
