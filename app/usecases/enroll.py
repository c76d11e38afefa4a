"""Clips -> enrollments of a speaker: all of them, or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.ports import SpeakerStore
from app.records import Clip, Enrolled, Idempotency, NewEnrollment, Reference
from app.usecases.auditing import Auditor
from app.usecases.consistency import ConsistencyRule
from app.usecases.gallery_sync import GallerySync
from app.usecases.listening import Listener, require_voice
from app.usecases.standing import StandingRule
from model.decision import QualityGate
from model.errors import InvalidArgument


@dataclass(frozen=True)
class Enroll:
    listener: Listener
    gate: QualityGate
    store: SpeakerStore
    sync: GallerySync
    rule: StandingRule
    consistency: ConsistencyRule
    audit: Auditor

    def __call__(
        self,
        tenant: str,
        speaker_id: str,
        clips: Sequence[bytes],
        idempotency: Idempotency | None = None,
        *,
        is_forced: bool = False,
    ) -> Enrolled:
        """Adds every clip, in one transaction, and brings the gallery up to date.

        Raises SpeakerNotFound, ModelMismatch and IdempotencyConflict before anything is decoded; then AudioError,
        NotEnoughSpeech, TooNoisy or, unless `is_forced`, InconsistentVoice naming the clip, after which nothing is stored.
        """
        if not clips:
            raise InvalidArgument("No clip was sent; at least 1 is needed in the field `audio`.")
        with self.audit.change("enroll", "forced" if is_forced else "enrolled", tenant, speaker_id) as noted:
            enrolled = self._replayed(tenant, speaker_id, idempotency)
            if enrolled is None:
                enrolled = self._enrolled(tenant, speaker_id, clips, idempotency, is_forced)
            else:
                noted.outcome = "enrolled before"
            self.sync.refresh(tenant, enrolled.speaker.number)
        return enrolled

    def _enrolled(
        self, tenant: str, speaker_id: str, clips: Sequence[bytes], idempotency: Idempotency | None, is_forced: bool
    ) -> Enrolled:
        self.rule.require_current(self.store.get_speaker(tenant, speaker_id))
        names = [f"clip {i} of {len(clips)}" for i in range(1, len(clips) + 1)]
        heard = self.listener.listen_to_all(dict(zip(names, clips, strict=True)))
        by_name = {name: self._kept(clip, name) for name, clip in heard.items()}

        def admit(stored: Reference | None) -> None:
            if not is_forced:
                self.consistency.require_one_voice(by_name, stored)

        fresh = list(by_name.values())
        return self.store.add_enrollments(tenant, speaker_id, self.rule.encoder_id, fresh, idempotency, admit)

    def _replayed(self, tenant: str, speaker_id: str, idempotency: Idempotency | None) -> Enrolled | None:
        if idempotency is None:
            return None
        return self.store.replayed_enrollments(tenant, speaker_id, idempotency)

    def _kept(self, clip: Clip, name: str) -> NewEnrollment:
        return NewEnrollment(require_voice(clip, self.gate, name), clip.quality, clip.source)
