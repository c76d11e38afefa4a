"""A SpeakerStore in memory, held to the contract tests of the adapter."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from app.errors import EnrollmentNotFound, IdempotencyConflict, ModelMismatch, SpeakerExists, SpeakerNotFound
from app.ports import admit_any
from app.records import (
    Enrolled,
    Enrollment,
    ErasedSpeaker,
    Idempotency,
    Metadata,
    NewEnrollment,
    Reference,
    ReferenceBatch,
    Speaker,
    SpeakerChanges,
    SpeakerPage,
    StandingBatch,
    consent_end,
)
from fake_fingerprints import FakeFingerprints
from model.errors import InvalidArgument
from model.quality import mean_snr_db
from model.scoring import Embedding, reference, unit
from samples import TickingClock, batch


@dataclass
class _Kept:
    """A speaker and all that goes with it."""

    speaker: Speaker
    clips: dict[str, tuple[Enrollment, Embedding]] = field(default_factory=dict)

    def seen(self) -> Speaker:
        enrollments = [enrollment for enrollment, _ in self.clips.values()]
        return replace(
            self.speaker,
            enrollment_count=len(enrollments),
            speech_s=sum(enrollment.quality.speech_s for enrollment in enrollments),
            encoder_id=enrollments[0].encoder_id if enrollments else None,
        )


@dataclass(frozen=True)
class _Answered:
    fingerprint: str
    speaker_id: str
    enrollment_ids: tuple[str, ...] | None


class FakeSpeakerStore:
    """Fulfils `app.ports.SpeakerStore`."""

    def __init__(self, clock: Callable[[], datetime] | None = None, n_kept_fingerprints: int = 50) -> None:
        self._clock = clock or TickingClock()
        self.fingerprints = FakeFingerprints(n_kept_fingerprints)
        self._lock = threading.RLock()
        self._speakers: dict[tuple[str, str], _Kept] = {}
        self._answered: dict[tuple[str, str], _Answered] = {}
        self._n_created = 0

    def create_speaker(
        self,
        tenant: str,
        speaker_id: str,
        display_name: str | None,
        metadata: Metadata,
        consent: Metadata | None,
        idempotency: Idempotency | None = None,
    ) -> Speaker:
        with self._lock:
            done = self._done(tenant, idempotency)
            if done is not None:
                if done.enrollment_ids is not None:
                    raise _conflict(idempotency)
                return self._kept(tenant, done.speaker_id).seen()
            if (tenant, speaker_id) in self._speakers:
                raise SpeakerExists(f"Speaker {speaker_id!r} already exists.")
            now = self._clock()
            self._n_created += 1
            speaker = Speaker(
                number=self._n_created,
                tenant=tenant,
                speaker_id=speaker_id,
                display_name=_storable(display_name),
                metadata=_storable(dict(metadata)),
                consent=None if consent is None else _storable(dict(consent)),
                enrollment_count=0,
                speech_s=0.0,
                encoder_id=None,
                created_at=now,
                updated_at=now,
            )
            self._speakers[tenant, speaker_id] = _Kept(speaker)
            self.fingerprints.add_speaker(speaker.number)
            self._remember(tenant, speaker_id, idempotency, None)
            return speaker

    def get_speaker(self, tenant: str, speaker_id: str) -> Speaker:
        with self._lock:
            return self._kept(tenant, speaker_id).seen()

    def list_speakers(self, tenant: str, limit: int, cursor: str | None) -> SpeakerPage:
        if limit < 1:
            raise InvalidArgument(f"The limit of a list is at least 1; got {limit}.")
        after = 0
        if cursor is not None:
            word, _, number = cursor.partition("-")
            if word != "after" or not number.isdecimal():
                raise InvalidArgument(f"The cursor {cursor!r} is none of this store's.")
            after = int(number)
        with self._lock:
            rest = [
                kept for (owner, _), kept in self._speakers.items() if owner == tenant and kept.speaker.number > after
            ]
            page = rest[:limit]
            return SpeakerPage(
                speakers=tuple(kept.seen() for kept in page),
                next_cursor=f"after-{page[-1].speaker.number}" if len(rest) > limit else None,
            )

    def update_speaker(self, tenant: str, speaker_id: str, changes: SpeakerChanges) -> Speaker:
        with self._lock:
            kept = self._kept(tenant, speaker_id)
            new = {name: _storable(getattr(changes, name)) for name in changes.fields}
            if "metadata" in new:
                new["metadata"] = new["metadata"] or {}
            if new:
                kept.speaker = replace(kept.speaker, updated_at=self._clock(), **new)
            return kept.seen()

    def erase_speaker(self, tenant: str, speaker_id: str) -> int:
        with self._lock:
            number = self._kept(tenant, speaker_id).speaker.number
            del self._speakers[tenant, speaker_id]
            self.fingerprints.forget(number)
            for key, done in list(self._answered.items()):
                if (key[0], done.speaker_id) == (tenant, speaker_id):
                    del self._answered[key]
            return number

    def erase_expired(self, now: datetime, limit: int) -> tuple[ErasedSpeaker, ...]:
        with self._lock:
            ends = [(consent_end(kept.speaker.consent), kept.speaker) for kept in self._speakers.values()]
            expired = sorted((end, one.number, one) for end, one in ends if end is not None and end <= now)[:limit]
            for _, _, one in expired:
                self.erase_speaker(one.tenant, one.speaker_id)
            return tuple(ErasedSpeaker(one.number, one.tenant, one.speaker_id) for _, _, one in expired)

    def add_enrollments(
        self,
        tenant: str,
        speaker_id: str,
        encoder_id: str,
        enrollments: Sequence[NewEnrollment],
        idempotency: Idempotency | None = None,
        admit: Callable[[Reference | None], None] = admit_any,
    ) -> Enrolled:
        if not enrollments:
            raise InvalidArgument("Enrolling needs at least one clip; got none.")
        new = [clip.embedding for clip in enrollments]
        if any(embedding.dtype != np.float32 or embedding.ndim != 1 for embedding in new):
            raise ValueError("an embedding is float32 of shape (n_embedding,)")
        unit(np.stack(new))
        with self._lock:
            done = self.replayed_enrollments(tenant, speaker_id, idempotency) if idempotency else None
            if done is not None:
                return done
            kept = self._kept(tenant, speaker_id)
            if kept.seen().encoder_id not in (None, encoder_id):
                raise ModelMismatch(f"Speaker {speaker_id!r} is enrolled with another encoder than {encoder_id}.")
            np.stack([*(embedding for _, embedding in kept.clips.values()), *new])
            admit(self.find_reference(tenant, speaker_id))
            now = self._clock()
            ids = tuple(uuid.uuid4().hex for _ in enrollments)
            for enrollment_id, clip in zip(ids, enrollments, strict=True):
                enrollment = Enrollment(enrollment_id, speaker_id, encoder_id, clip.quality, clip.source, now)
                kept.clips[enrollment_id] = (enrollment, clip.embedding.copy())
                self.fingerprints.add_enrolled(kept.speaker.number, enrollment_id, clip.fingerprint)
            kept.speaker = replace(kept.speaker, updated_at=now)
            self._remember(tenant, speaker_id, idempotency, ids)
            return Enrolled(kept.seen(), tuple(kept.clips[enrollment_id][0] for enrollment_id in ids))

    def replayed_enrollments(self, tenant: str, speaker_id: str, idempotency: Idempotency) -> Enrolled | None:
        with self._lock:
            kept = self._kept(tenant, speaker_id)
            done = self._done(tenant, idempotency)
            if done is None:
                return None
            if done.enrollment_ids is None or done.speaker_id != speaker_id:
                raise _conflict(idempotency)
            return Enrolled(kept.seen(), tuple(kept.clips[i][0] for i in done.enrollment_ids if i in kept.clips))

    def list_enrollments(self, tenant: str, speaker_id: str) -> tuple[Enrollment, ...]:
        with self._lock:
            return tuple(enrollment for enrollment, _ in self._kept(tenant, speaker_id).clips.values())

    def remove_enrollment(self, tenant: str, speaker_id: str, enrollment_id: str) -> int:
        with self._lock:
            kept = self._kept(tenant, speaker_id)
            if kept.clips.pop(enrollment_id, None) is None:
                raise EnrollmentNotFound(f"Speaker {speaker_id!r} has no enrollment {enrollment_id!r}.")
            kept.speaker = replace(kept.speaker, updated_at=self._clock())
            self.fingerprints.remove_enrolled(kept.speaker.number, enrollment_id)
            return kept.speaker.number

    def find_reference(self, tenant: str, speaker_id: str) -> Reference | None:
        with self._lock:
            kept = self._speakers.get((tenant, speaker_id))
            if kept is None or not kept.clips:
                return None
            speaker = kept.seen()
            return Reference(
                number=speaker.number,
                tenant=tenant,
                speaker_id=speaker_id,
                display_name=speaker.display_name,
                encoder_id=str(speaker.encoder_id),
                embedding=reference(np.stack([embedding for _, embedding in kept.clips.values()])),
                enrollment_count=speaker.enrollment_count,
                speech_s=speaker.speech_s,
                snr_db=mean_snr_db([enrollment.quality.snr_db for enrollment, _ in kept.clips.values()]),
            )

    def find_references(self, tenant: str, numbers: Iterable[int]) -> tuple[Reference, ...]:
        wanted = set(numbers)
        with self._lock:
            names = [name for (owner, name), kept in self._speakers.items() if owner == tenant]
            found = [self.find_reference(tenant, name) for name in names]
        return tuple(one for one in found if one is not None and one.number in wanted)

    def references(self) -> Iterator[ReferenceBatch]:
        """One speaker in a batch."""
        with self._lock:
            names = list(self._speakers)
        for tenant, speaker_id in names:
            found = self.find_reference(tenant, speaker_id)
            if found is not None:
                yield batch([found])

    def standings(self) -> Iterator[StandingBatch]:
        """Everybody in one batch."""
        with self._lock:
            seen = [kept.seen() for kept in self._speakers.values() if kept.clips]
        yield StandingBatch(
            tenants=tuple(one.tenant for one in seen),
            numbers=np.array([one.number for one in seen], dtype=np.int64),
            encoder_ids=tuple(str(one.encoder_id) for one in seen),
            enrollment_counts=np.array([one.enrollment_count for one in seen], dtype=np.int64),
            speech_s=np.array([one.speech_s for one in seen]),
        )

    def follow_anew(self, tenant: str, number: int) -> bool:
        return False

    def count_speakers(self) -> int:
        with self._lock:
            return len(self._speakers)

    def check(self) -> None:
        """A dictionary can always answer."""

    def close(self) -> None:
        """Nothing to let go of."""

    def _kept(self, tenant: str, speaker_id: str) -> _Kept:
        if (tenant, speaker_id) not in self._speakers:
            raise SpeakerNotFound(f"There is no speaker {speaker_id!r}.")
        return self._speakers[tenant, speaker_id]

    def _done(self, tenant: str, idempotency: Idempotency | None) -> _Answered | None:
        done = self._answered.get((tenant, idempotency.key)) if idempotency else None
        if idempotency and done and done.fingerprint != idempotency.fingerprint:
            raise _conflict(idempotency)
        return done

    def _remember(
        self, tenant: str, speaker_id: str, idempotency: Idempotency | None, enrollment_ids: tuple[str, ...] | None
    ) -> None:
        if idempotency:
            self._answered[tenant, idempotency.key] = _Answered(idempotency.fingerprint, speaker_id, enrollment_ids)


def _conflict(idempotency: Idempotency | None) -> IdempotencyConflict:
    return IdempotencyConflict(f"The Idempotency-Key was used before for another request: {idempotency}.")


def _storable(value: Any) -> Any:
    """A copy, as a database would give it back. Raises InvalidArgument for what none could hold."""
    try:
        if isinstance(value, str):
            value.encode()
        return json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError) as error:
        raise InvalidArgument(f"A value cannot be stored: {error}.") from error
