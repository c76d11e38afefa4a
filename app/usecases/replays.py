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
        known = [] if b.fingerprint is None else [kept(b.fingerprint)]
        return self._with_flags(result, _flags(a, known))

    def verified(self, result: Verification, clip: Clip, number: int) -> Verification:
        """Of a clip that this speaker was claimed with, which is remembered whatever came of it."""
        flags = _flags(clip, self.fingerprints.of_speaker(number))
        self._remember(clip, number)
        return self._with_flags(result, flags)

    def identified(self, result: Identification) -> Identification:
        """Held against what the best candidate is known by, and remembered there where it is accepted."""
        if not result.candidates:
            return result
        best, *others = result.candidates
        flags = _flags(result.clip, self.fingerprints.of_speaker(best.number))
        best = replace(best, decision=decide_replay(best.decision, flags, self.policy))
        decision = decide_replay(result.decision, flags, self.policy)
        if decision.outcome == "accept":
            self._remember(result.clip, best.number)
        return replace(result, decision=decision, candidates=(best, *others), flags=flags)

    def first_known(self, clips: Mapping[str, Clip], number: int) -> str | None:
        """The name of the first clip that was heard of the speaker before, or that is another of these again."""
        known = list(self.fingerprints.of_speaker(number))
        for name, clip in clips.items():
            if _flags(clip, known):
                return name
            if clip.fingerprint is not None:
                known.append(kept(clip.fingerprint))
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

    def _remember(self, clip: Clip, number: int) -> None:
        if clip.fingerprint is not None:
            self.fingerprints.remember(number, kept(clip.fingerprint))


def _flags(clip: Clip, known: Sequence[Fingerprint]) -> tuple[Flag, ...]:
    if clip.fingerprint is None or not known:
        return ()
    with stage("replay"):
        evidence = float(replay_evidence(clip.fingerprint, known).max())
    return ("replay_suspected",) if is_replay(evidence) else ()
