"""What the use cases need from the outside world. Adapters fulfil these; tests pass fakes."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from app.access import ApiKey
from app.audit import AuditEntry
from app.records import (
    Candidate,
    ChangedReferences,
    ChangesMark,
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
)
from model.fingerprint import Fingerprint
from model.quality import Quality
from model.scoring import Embedding
from model.waveform import Waveform

T = TypeVar("T")


def admit_any(stored: Reference | None) -> None:
    """Adds enrollments without a look at those that are there."""


class Decoder(Protocol):
    @property
    def n_deaths(self) -> int:
        """Uploads so far that killed or hung what decodes them."""
        ...

    def decode(self, data: bytes) -> Waveform:
        """Raises an AudioError that says what was wrong and what is allowed."""
        ...

    def close(self) -> None: ...


class Assessor(Protocol):
    def assess(self, waveform: Waveform) -> Quality: ...


class Embedder(Protocol):
    @property
    def encoder_id(self) -> str:
        """Hash of front end and weights; embeddings of different ids are never compared."""
        ...

    @property
    def n_embedding(self) -> int: ...

    @property
    def n_min_samples(self) -> int:
        """The shortest waveform that has an embedding: one encoder frame (25 ms)."""
        ...

    def embed(self, waveform: Waveform) -> Embedding:
        """Unit float32 of shape (n_embedding,). The waveform has at least `n_min_samples`."""
        ...

    def close(self) -> None: ...


class FingerprintStore(Protocol):
    """By which recordings that were heard of a speaker before are known. They are erased with the speaker."""

    def of_speaker(self, number: int) -> tuple[Fingerprint, ...]:
        """Of the speaker with this number: of all enrollments, and of the latest clips that were verified."""
        ...

    def remember(self, number: int, words: Fingerprint) -> None:
        """Of a clip that was verified, as it is kept. Known at once, to every process that shares the store; durable a second
        later, or at the close of the store, since no answer waits for a disk. Of a speaker who is gone nothing is kept.
        """
        ...


class SpeakerStore(Protocol):
    """The record. Each call is one transaction, durable when it returns; threads may call it at once."""

    @property
    def fingerprints(self) -> FingerprintStore: ...

    def create_speaker(
        self,
        tenant: str,
        speaker_id: str,
        display_name: str | None,
        metadata: Metadata,
        consent: Metadata | None,
        idempotency: Idempotency | None = None,
    ) -> Speaker:
        """Raises SpeakerExists; IdempotencyConflict where the key was used for another request.

        The same key and fingerprint again returns the speaker that the first call made.
        """
        ...

    def get_speaker(self, tenant: str, speaker_id: str) -> Speaker:
        """Raises SpeakerNotFound, as every call below that names a speaker."""
        ...

    def list_speakers(self, tenant: str, limit: int, cursor: str | None) -> SpeakerPage:
        """By creation, oldest first. Whoever is made while the pages are read may be left out. Raises InvalidArgument for a
        cursor that this store did not make.
        """
        ...

    def update_speaker(self, tenant: str, speaker_id: str, changes: SpeakerChanges) -> Speaker: ...

    def erase_speaker(self, tenant: str, speaker_id: str) -> int:
        """Removes the speaker, the enrollments and the idempotency rows that name either. Gives the speaker's number."""
        ...

    def erase_expired(self, now: datetime, limit: int) -> tuple[ErasedSpeaker, ...]:
        """As `erase_speaker`, for at most `limit` speakers of any tenant whose consent has ended by `now`, the first to end
        first. An end is looked at again as they are erased: a consent that was prolonged meanwhile keeps its speaker.
        """
        ...

    def add_enrollments(
        self,
        tenant: str,
        speaker_id: str,
        encoder_id: str,
        enrollments: Sequence[NewEnrollment],
        idempotency: Idempotency | None = None,
        admit: Callable[[Reference | None], None] = admit_any,
    ) -> Enrolled:
        """All or none. Raises ModelMismatch where the speaker has enrollments of another encoder.

        `admit` is shown the speaker's reference, None before the first enrollment, as it is when these are added: of two
        calls at once the second sees what the first one added. What it raises passes, and nothing is added.
        """
        ...

    def replayed_enrollments(self, tenant: str, speaker_id: str, idempotency: Idempotency) -> Enrolled | None:
        """What this key already enrolled, or None when it is new. Raises IdempotencyConflict."""
        ...

    def list_enrollments(self, tenant: str, speaker_id: str) -> tuple[Enrollment, ...]:
        """Oldest first."""
        ...

    def remove_enrollment(self, tenant: str, speaker_id: str, enrollment_id: str) -> int:
        """Gives the speaker's number. Raises EnrollmentNotFound."""
        ...

    def find_reference(self, tenant: str, speaker_id: str) -> Reference | None:
        """None where the speaker is unknown or has no enrollment."""
        ...

    def find_references(self, tenant: str, numbers: Iterable[int]) -> tuple[Reference, ...]:
        """Of the tenant's speakers with these numbers, in any order; whoever is unknown or has no enrollment is left out.

        One read for all. Raises StoreError where one cannot be made of its rows, as `find_reference` does.
        """
        ...

    def references(self) -> Iterator[ReferenceBatch]:
        """Every speaker with at least one enrollment, of every tenant and encoder, each once.

        Rows that give no reference are left out with a line in the log. The store may change between two batches.
        """
        ...

    def standings(self) -> Iterator[StandingBatch]:
        """Of whom `references` is about, and of those whose rows give no reference: no embedding is read.

        Not for every request: it passes over all rows, in transactions of a few thousand.
        """
        ...

    def follow_anew(self, tenant: str, number: int) -> bool:
        """Derives again what the store's own transactions derive of the enrollments of the speaker with this number, for a
        gallery that is kept. Whether it differed.
        """
        ...

    def count_speakers(self) -> int:
        """Of all tenants, with enrollments or without."""
        ...

    def check(self) -> None:
        """Raises StoreError when the store cannot answer (a readiness probe)."""
        ...

    def close(self) -> None: ...


class Gallery(Protocol):
    """Derived from the store, never the truth. Searches may run beside each other and beside changes.

    It knows speakers by their numbers, each of which is one tenant's.
    """

    @property
    def encoder_id(self) -> str:
        """Whose embeddings it holds, and no others."""
        ...

    @property
    def is_kept(self) -> bool:
        """Whether the store's own transactions keep it, in the database: then nothing fills it at a start, or tells it what
        was changed.
        """
        ...

    def rebuild(self, batches: Iterable[ReferenceBatch]) -> None:
        """Replaces everything. Of a speaker who comes twice, the last reference stays."""
        ...

    def upsert(self, reference: Reference) -> None: ...

    def remove(self, tenant: str, numbers: Iterable[int]) -> None:
        """Removing somebody absent is no error."""
        ...

    def search(self, tenant: str, embedding: Embedding, n_candidates: int) -> tuple[Candidate, ...]:
        """Best first, one a speaker, of this tenant only; fewer than asked where the gallery is smaller.

        Equal scores are ordered by number.
        """
        ...

    def size(self, tenant: str) -> int: ...

    def numbers(self) -> Mapping[str, NDArray[np.int64]]:
        """Who is in it, by tenant, in any order. Whoever comes or goes meanwhile may be there or not."""
        ...

    def close(self) -> None:
        """Ends what runs in the background."""
        ...


class ReferenceChanges(Protocol):
    """Whose references were changed, by any process that has the store. Raises StoreError."""

    def now(self) -> ChangesMark:
        """Every change before it can be seen in the store."""
        ...

    def since(self, mark: ChangesMark) -> ChangedReferences | None:
        """None where that was too long ago."""
        ...

    def prune(self) -> None:
        """Forgets those that were too long ago."""
        ...


class KeyStore(Protocol):
    """API keys as records. None is ever removed: a service that had a key once never falls back to having none.

    Raises StoreError where the database cannot be used.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other processes may write keys at the same time."""
        ...

    def load(self) -> tuple[ApiKey, ...]:
        """Every key, oldest first."""
        ...

    def find(self, key_id: str) -> ApiKey | None: ...

    def add(self, key: ApiKey, ended: ApiKey | None = None) -> None:
        """Durable once it returns. `ended` is another one, whose end is written in the same transaction, or not at all.

        Raises KeyNotFound where that one was revoked before.
        """
        ...

    def end(self, key: ApiKey) -> None:
        """Writes when the key expires and when it was revoked. A revocation is never taken back."""
        ...

    def note_uses(self, used: Mapping[str, datetime]) -> None:
        """When each key was last used, by its id. What is later already stays."""
        ...


class AuditTrail(Protocol):
    """Who did what, in order; nothing is ever changed or taken out, but what is older than it is to be kept. Threads may call
    it at once.
    """

    @property
    def n_unwritten(self) -> int:
        """Entries that wait for a disk or a database that takes them."""
        ...

    def require_room(self) -> None:
        """Raises StoreError while entries wait that still cannot be written."""
        ...

    def write(self, entry: AuditEntry, *, is_synced: bool) -> None:
        """Adds an entry, which outlives this process when it returns, and a power cut where it `is_synced`.

        Where it cannot be written now, it waits, and the log says so. Raises StoreError when too many wait.
        """
        ...

    def sync(self) -> None:
        """After it, every entry that was written outlives a power cut."""
        ...

    def close(self) -> None:
        """As `sync`, before this process ends in good order."""
        ...


class CallerLeft(Exception):
    """The caller went away while the work was waiting, and the work was not done."""


class WorkQueue(Protocol):
    """Takes CPU work off the event loop, up to a fixed number of pieces."""

    @property
    def n_places(self) -> int:
        """For work that runs and work that waits."""
        ...

    @property
    def n_taken(self) -> int:
        """Places that are taken now."""
        ...

    def require_room(self) -> None:
        """Raises Overloaded when every place is taken."""
        ...

    async def run(
        self, work: Callable[[], T], caller_leaves: Callable[[], Coroutine[Any, Any, object]] | None = None
    ) -> T:
        """Runs `work` on a worker thread, in a copy of the caller's context. Raises Overloaded at once when every place is
        taken.

        `caller_leaves()` returns when nobody wants the result any more. Work that is still waiting then gives up its
        place and is dropped, and CallerLeft raised; work that has begun ends as usual. Work that has waited too long is
        dropped too, and Overloaded raised.
        """
        ...

    def side_by_side(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """What the calls give, in their order, for work that `run` runs: on workers that are idle, and else on its own.

        Raises what the first of them that failed raised, once none of them runs any more; those that had not begun by
        then do not.
        """
        ...

    def close(self) -> None:
        """Lets running work end."""
        ...
