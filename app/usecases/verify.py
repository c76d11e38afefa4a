"""Is this clip that speaker?"""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import NotEnrolled
from app.ports import SpeakerStore
from app.records import Verification
from app.usecases.judging import Judge
from app.usecases.listening import Listener
from app.usecases.replays import ReplayRule
from app.usecases.standing import StandingRule


@dataclass(frozen=True)
class Verify:
    listener: Listener
    judge: Judge
    store: SpeakerStore
    rule: StandingRule
    replays: ReplayRule

    def __call__(self, tenant: str, speaker_id: str, audio: bytes, operating_point: str | None = None) -> Verification:
        """Raises SpeakerNotFound, NotEnrolled or ModelMismatch before the clip is decoded; AudioError after."""
        point = self.judge.point(operating_point)
        self.rule.require_enrolled(self.store.get_speaker(tenant, speaker_id))
        clip = self.listener.listen(audio, "audio")
        # Read after listening, which takes the longest: a speaker erased meanwhile is not answered for.
        reference = self.store.find_reference(tenant, speaker_id)
        if reference is None or self.rule.of(reference).status != "enrolled":
            self.rule.require_enrolled(self.store.get_speaker(tenant, speaker_id))
            raise NotEnrolled(f"The enrollments of speaker {speaker_id!r} changed during the call. Send it again.")
        result = self.judge.verification(self.judge.claim(reference, clip), point, (clip,), speaker_id)
        return self.replays.verified(result, clip, reference.number)
