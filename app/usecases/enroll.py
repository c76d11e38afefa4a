"""Clips -> enrollments of a speaker: all of them, or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.ports import SpeakerStore
from app.records import Clip, Enrolled, Idempotency, NewEnrollment, Reference, Speaker
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

    def __call__(
        self, tenant: str, speaker_id: str, clips: Sequence[bytes], idempotency: Idempotency | None = None
    ) -> Enrolled:
        """Adds every clip, in one transaction, and brings the gallery up to date.

        Raises SpeakerNotFound, ModelMismatch and IdempotencyConflict before anything is decoded; then AudioError,
        NotEnoughSpeech, TooNoisy, InconsistentVoice or ReplaySuspected naming the clip, after which nothing is stored.

        Clips are held against those that are stored when the last of them has been heard. Two calls at once for one
        speaker do not see each other's clips, and may so enrol two voices.
        """
        if not clips:
            raise InvalidArgument("No clip was sent; at least 1 is needed in the field `audio`.")
        enrolled = self._replayed(tenant, speaker_id, idempotency)
        if enrolled is None:
            speaker = self.store.get_speaker(tenant, speaker_id)
            self.rule.require_current(speaker)
            names = [f"clip {i} of {len(clips)}" for i in range(1, len(clips) + 1)]
            heard = self.listener.listen_to_all(dict(zip(names, clips, strict=True)))
            by_name = {name: self._kept(clip, name) for name, clip in heard.items()}
            fresh = list(by_name.values())
            self.consistency.require_one_voice(by_name, self._stored(tenant, speaker_id))
            flags = self._flags(speaker, heard, idempotency)
            added = self.store.add_enrollments(tenant, speaker_id, self.rule.encoder_id, fresh, idempotency)
            enrolled = replace(added, flags=flags)
        self.sync.refresh(tenant, enrolled.speaker.number)
        return enrolled

    def _replayed(self, tenant: str, speaker_id: str, idempotency: Idempotency | None) -> Enrolled | None:
        if idempotency is None:
            return None
        return self.store.replayed_enrollments(tenant, speaker_id, idempotency)

    def _stored(self, tenant: str, speaker_id: str) -> Reference | None:
        """None, too, where the encoder changed during the call: the store refuses that by itself."""
        stored = self.store.find_reference(tenant, speaker_id)
        return stored if stored is not None and stored.encoder_id == self.rule.encoder_id else None

    def _flags(self, speaker: Speaker, heard: Mapping[str, Clip], idempotency: Idempotency | None) -> tuple[Flag, ...]:
        name = self.replays.first_known(heard, speaker.number)
        # This very request may have been carried out meanwhile, where it was sent twice at once.
        if name is None or self._replayed(speaker.tenant, speaker.speaker_id, idempotency) is not None:
            return ()
        return self.replays.flags_to_enroll(name)

    def _kept(self, clip: Clip, name: str) -> NewEnrollment:
        fingerprint = None if clip.fingerprint is None else kept(clip.fingerprint)
        return NewEnrollment(require_voice(clip, self.gate, name), clip.quality, clip.source, fingerprint)
