"""Clips -> enrollments of a speaker: all of them, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.ports import SpeakerStore
from app.records import Clip, Enrolled, Idempotency, NewEnrollment, Reference, Speaker
from app.usecases.auditing import Auditor
from app.usecases.consistency import ConsistencyRule
from app.usecases.gallery_sync import GallerySync
from app.usecases.listening import Listener, require_voice
from app.usecases.replays import ReplayRule
from app.usecases.standing import StandingRule
from model.decision import Flag, QualityGate
from model.errors import InvalidArgument
from model.fingerprint import kept


@dataclass(frozen=True)
class Enroll:
    listener: Listener
    gate: QualityGate
    store: SpeakerStore
    sync: GallerySync
    rule: StandingRule
    consistency: ConsistencyRule
    replays: ReplayRule
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
        NotEnoughSpeech, TooNoisy, ReplaySuspected or, unless `is_forced`, InconsistentVoice naming the clip, after which
        nothing is stored.
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
        speaker = self.store.get_speaker(tenant, speaker_id)
        self.rule.require_current(speaker)
        names = [f"clip {i} of {len(clips)}" for i in range(1, len(clips) + 1)]
        heard = self.listener.listen_to_all(dict(zip(names, clips, strict=True)))
        by_name = {name: self._kept(clip, name) for name, clip in heard.items()}

        def admit(stored: Reference | None) -> None:
            if not is_forced:
                self.consistency.require_one_voice(by_name, stored)

        flags = self._flags(speaker, heard, idempotency)
        fresh = list(by_name.values())
        added = self.store.add_enrollments(tenant, speaker_id, self.rule.encoder_id, fresh, idempotency, admit)
        return replace(added, flags=flags)

    def _replayed(self, tenant: str, speaker_id: str, idempotency: Idempotency | None) -> Enrolled | None:
        if idempotency is None:
            return None
        return self.store.replayed_enrollments(tenant, speaker_id, idempotency)

    def _flags(self, speaker: Speaker, heard: Mapping[str, Clip], idempotency: Idempotency | None) -> tuple[Flag, ...]:
        name = self.replays.first_known(heard, speaker.number)
        # This very request may have been carried out meanwhile, where it was sent twice at once.
        if name is None or self._replayed(speaker.tenant, speaker.speaker_id, idempotency) is not None:
            return ()
        return self.replays.flags_to_enroll(name)

    def _kept(self, clip: Clip, name: str) -> NewEnrollment:
        fingerprint = None if clip.fingerprint is None else kept(clip.fingerprint)
        return NewEnrollment(require_voice(clip, self.gate, name), clip.quality, clip.source, fingerprint)
