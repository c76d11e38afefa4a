"""Is this clip that speaker?"""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import NotEnrolled
from app.ports import SpeakerStore
from app.records import Clip, Verification
from app.usecases.auditing import Auditor
from app.usecases.judging import Judge
from app.usecases.listening import Listener
from app.usecases.replays import ReplayRule
from app.usecases.standing import StandingRule
from model.decision import OperatingPoint


@dataclass(frozen=True)
class HeardClaim:
    """A clip beside whom it claims to be, and what that is worth."""

    result: Verification
    clip: Clip
    number: int
    """The speaker's."""


@dataclass(frozen=True)
class Verify:
    listener: Listener
    judge: Judge
    store: SpeakerStore
    rule: StandingRule
    replays: ReplayRule
    audit: Auditor

    def __call__(self, tenant: str, speaker_id: str, audio: bytes, operating_point: str | None = None) -> Verification:
        """Raises SpeakerNotFound, NotEnrolled or ModelMismatch before the clip is decoded; AudioError after."""
        with self.audit.question("verify", tenant, speaker_id) as noted:
            answer = self.concluded(self.heard(tenant, speaker_id, audio, self.judge.point(operating_point)))
            noted.outcome = answer.decision.outcome
        return answer

    def require_enrolled(self, tenant: str, speaker_id: str) -> None:
        """Raises SpeakerNotFound, NotEnrolled or ModelMismatch."""
        self.rule.require_enrolled(self.store.get_speaker(tenant, speaker_id))

    def heard(self, tenant: str, speaker_id: str, audio: bytes, point: OperatingPoint) -> HeardClaim:
        """Raises as a call does. Nothing is remembered of it."""
        self.require_enrolled(tenant, speaker_id)
        clip = self.listener.listen(audio, "audio")
        # Read after listening, which takes the longest: a speaker erased meanwhile is not answered for.
        reference = self.store.find_reference(tenant, speaker_id)
        if reference is None or self.rule.of(reference).status != "enrolled":
            self.require_enrolled(tenant, speaker_id)
            raise NotEnrolled(f"The enrollments of speaker {speaker_id!r} changed during the call. Send it again.")
        result = self.judge.verification(self.judge.claim(reference, clip), point, (clip,), speaker_id)
        return HeardClaim(result, clip, reference.number)

    def concluded(self, heard: HeardClaim) -> Verification:
        """Held against what was heard of the speaker before, and remembered."""
        return self.replays.verified(heard.result, heard.clip, heard.number)
