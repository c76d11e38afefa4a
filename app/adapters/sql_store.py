"""SpeakerStore on a SQL database: the record that everything else is derived from."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import Connection, bindparam, delete, func, insert, select

from app.adapters import sql_batches, sql_idempotency, sql_rows, sql_steps, sql_traces
from app.adapters.database import Database, open_database
from app.adapters.erasures import UNLOGGED, Erasures, Noted
from app.adapters.followers import NO_FOLLOWER, Follower
from app.adapters.master_key import MasterKey
from app.adapters.retrying import carried_through
from app.adapters.sealing import Sealer
from app.adapters.sql_fingerprints import SqlFingerprints
from app.adapters.tables import enrollments as enrollment_table
from app.adapters.tables import speakers
from app.adapters.traces import Traces
from app.errors import EnrollmentNotFound, SpeakerExists
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
    utc_now,
)
from model.errors import InvalidArgument
from model.scoring import unit

_T = TypeVar("_T")


def open_store(database_url: str, master: MasterKey, *, clock: Callable[[], datetime] = utc_now) -> SqlSpeakerStore:
    """Brings the database to the newest schema and opens it. Raises StoreError with a sentence for the operator."""
    return SqlSpeakerStore(open_database(database_url, master), Sealer(master), clock=clock)


# Made once: putting it together takes as long as running it.
_REFERENCES_NUMBERED = sql_rows.reference_query().where(
    speakers.c.tenant == bindparam("tenant"), speakers.c.seq.in_(bindparam("numbers", expanding=True))
)


class SqlSpeakerStore:
    """Fulfils `app.ports.SpeakerStore`, where the contract is written."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        erasures: Erasures = UNLOGGED,
        follower: Follower = NO_FOLLOWER,
        *,
        n_kept_fingerprints: int = 50,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._erasures = erasures
        self._follower = follower
        self._clock = clock
        self.fingerprints = SqlFingerprints(database, sealer, n_kept_fingerprints, clock)

    def create_speaker(
        self,
        tenant: str,
        speaker_id: str,
        display_name: str | None,
        metadata: Metadata,
        consent: Metadata | None,
        idempotency: Idempotency | None = None,
    ) -> Speaker:
        new = {
            "tenant": tenant,
            "speaker_id": speaker_id,
            "display_name": display_name,
            "metadata": sql_rows.json_object(metadata),
            **sql_rows.consent_values(consent),
        }

        def work(connection: Connection) -> Speaker:
            made_before = sql_idempotency.created_speaker(connection, tenant, idempotency)
            if made_before is not None:
                return sql_steps.read_speaker(connection, tenant, made_before)
            if sql_steps.speaker_exists(connection, tenant, speaker_id):
                raise SpeakerExists(
                    f"Speaker {speaker_id!r} already exists. Choose another speaker_id, or add clips to the one there "
                    "is."
                )
            now = self._clock()
            key = self._sealer.new_key(tenant, speaker_id)
            connection.execute(insert(speakers), {**new, "data_key": key, "created_at": now, "updated_at": now})
            made = sql_steps.read_speaker(connection, tenant, speaker_id)
            sql_idempotency.remember(connection, tenant, made.number, idempotency, None, now)
            return made

        return self._database.write(work)

    def get_speaker(self, tenant: str, speaker_id: str) -> Speaker:
        with self._database.reading() as connection:
            return sql_steps.read_speaker(connection, tenant, speaker_id)

    def list_speakers(self, tenant: str, limit: int, cursor: str | None) -> SpeakerPage:
        if limit < 1:
            raise InvalidArgument(f"The limit of a list is at least 1; got {limit}.")
        after = 0 if cursor is None else sql_rows.from_cursor(cursor)
        query = (
            sql_rows.speaker_query()
            .where(speakers.c.tenant == tenant, speakers.c.seq > after)
            .order_by(speakers.c.seq)
            .limit(limit + 1)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        page = rows[:limit]
        return SpeakerPage(
            speakers=tuple(sql_rows.to_speaker(row) for row in page),
            next_cursor=sql_rows.to_cursor(page[-1].seq) if len(rows) > limit else None,
        )

    def update_speaker(self, tenant: str, speaker_id: str, changes: SpeakerChanges) -> Speaker:
        values: dict[str, Any] = {}
        if "display_name" in changes.fields:
            values["display_name"] = changes.display_name
        if "metadata" in changes.fields:
            values["metadata"] = sql_rows.json_object(changes.metadata or {})
        if "consent" in changes.fields:
            values |= sql_rows.consent_values(changes.consent)

        def work(connection: Connection) -> Speaker:
            if values:
                sql_steps.change_speaker(connection, tenant, speaker_id, updated_at=self._clock(), **values)
            return sql_steps.read_speaker(connection, tenant, speaker_id)

        return self._database.write(work)

    def erase_speaker(self, tenant: str, speaker_id: str) -> int:
        def work(connection: Connection, noted: Noted, traces: Traces) -> int:
            number = sql_steps.lock_speaker(connection, tenant, speaker_id)
            noted.speaker(connection, number, self._clock())
            sql_traces.add_speaker(traces, connection, number)
            # Enrollments, fingerprints and idempotency rows go with it: their foreign keys cascade.
            connection.execute(delete(speakers).where(speakers.c.seq == number))
            self._follower.changed(connection, tenant, number)
            return number

        number = self._erase(work)
        self.fingerprints.forget(number)
        return number

    def erase_expired(self, now: datetime, limit: int) -> tuple[ErasedSpeaker, ...]:
        query = (
            select(speakers.c.seq, speakers.c.tenant, speakers.c.speaker_id)
            .where(speakers.c.consent_expires_at <= now)
            .order_by(speakers.c.consent_expires_at, speakers.c.seq)
            .limit(limit)
        )
        with self._database.reading() as connection:
            if connection.execute(query).first() is None:
                return ()  # the usual case, for which nothing is locked or rewritten

        def work(connection: Connection, noted: Noted, traces: Traces) -> tuple[ErasedSpeaker, ...]:
            # Whoever another process has in hand is erased there, or at the next call.
            found = connection.execute(query.with_for_update(skip_locked=True)).all()
            for row in found:
                noted.speaker(connection, row.seq, now)
                sql_traces.add_speaker(traces, connection, row.seq)
                connection.execute(delete(speakers).where(speakers.c.seq == row.seq))
                self._follower.changed(connection, row.tenant, row.seq)
            return tuple(ErasedSpeaker(*row) for row in found)

        erased = self._erase(work)
        for one in erased:
            self.fingerprints.forget(one.number)
        return erased

    def add_enrollments(
        self,
        tenant: str,
        speaker_id: str,
        encoder_id: str,
        enrollments: Sequence[NewEnrollment],
        idempotency: Idempotency | None = None,
        admit: Callable[[Reference | None], None] = admit_any,
    ) -> Enrolled:
        n_embedding = _one_size(enrollments)

        def work(connection: Connection) -> Enrolled:
            # Held to the end, so that two encoders cannot enrol one speaker at once.
            number = sql_steps.lock_speaker(connection, tenant, speaker_id)
            made_before = sql_idempotency.enrolled_clips(connection, tenant, number, idempotency)
            if made_before is not None:
                return sql_steps.read_enrolled(connection, tenant, speaker_id, made_before)
            sql_steps.require_alike(connection, tenant, speaker_id, encoder_id, n_embedding)
            admit(sql_steps.read_reference(connection, tenant, speaker_id, self._sealer))
            now, seal = self._clock(), sql_steps.open_seal(connection, tenant, speaker_id, self._sealer)
            rows = [
                sql_rows.enrollment_values(tenant, speaker_id, encoder_id, uuid.uuid4().hex, clip, seal, now)
                for clip in enrollments
            ]
            ids = [str(row["enrollment_id"]) for row in rows]
            connection.execute(insert(enrollment_table), rows)
            self.fingerprints.add_enrolled(connection, number, ids, enrollments, seal, now)
            sql_steps.change_speaker(connection, tenant, speaker_id, updated_at=now)
            sql_idempotency.remember(connection, tenant, number, idempotency, ids, now)
            self._follower.changed(connection, tenant, number)
            return sql_steps.read_enrolled(connection, tenant, speaker_id, ids)

        return self._database.write(work)

    def replayed_enrollments(self, tenant: str, speaker_id: str, idempotency: Idempotency) -> Enrolled | None:
        with self._database.reading() as connection:
            number = sql_steps.read_speaker(connection, tenant, speaker_id).number
            made_before = sql_idempotency.enrolled_clips(connection, tenant, number, idempotency)
            return None if made_before is None else sql_steps.read_enrolled(connection, tenant, speaker_id, made_before)

    def list_enrollments(self, tenant: str, speaker_id: str) -> tuple[Enrollment, ...]:
        query = (
            select(enrollment_table)
            .where(enrollment_table.c.tenant == tenant, enrollment_table.c.speaker_id == speaker_id)
            .order_by(enrollment_table.c.seq)
        )
        with self._database.reading() as connection:
            sql_steps.read_speaker(connection, tenant, speaker_id)
            return tuple(sql_rows.to_enrollment(row) for row in connection.execute(query))

    def remove_enrollment(self, tenant: str, speaker_id: str, enrollment_id: str) -> int:
        def work(connection: Connection, noted: Noted, traces: Traces) -> int:
            number = sql_steps.lock_speaker(connection, tenant, speaker_id)
            sql_traces.add_enrollment(traces, connection, tenant, speaker_id, enrollment_id)
            sql_steps.change_speaker(connection, tenant, speaker_id, updated_at=(now := self._clock()))
            removed = connection.execute(
                delete(enrollment_table).where(
                    enrollment_table.c.tenant == tenant,
                    enrollment_table.c.speaker_id == speaker_id,
                    enrollment_table.c.enrollment_id == enrollment_id,
                )
            )
            if not removed.rowcount:
                raise EnrollmentNotFound(
                    f"Speaker {speaker_id!r} has no enrollment {enrollment_id!r}. List the speaker's enrollments for "
                    "those there are."
                )
            noted.enrollment(connection, tenant, enrollment_id, now)
            self._follower.changed(connection, tenant, number)
            return number

        return self._erase(work)

    def find_reference(self, tenant: str, speaker_id: str) -> Reference | None:
        with self._database.reading() as connection:
            return sql_steps.read_reference(connection, tenant, speaker_id, self._sealer)

    def find_references(self, tenant: str, numbers: Iterable[int]) -> tuple[Reference, ...]:
        with self._database.reading() as connection:
            rows = connection.execute(_REFERENCES_NUMBERED, {"tenant": tenant, "numbers": list(numbers)}).all()
        of_speakers = (list(own) for _, own in groupby(rows, key=lambda row: row.seq))
        return tuple(sql_rows.to_reference(own, self._sealer) for own in of_speakers if own[0].encoder_id is not None)

    def references(self) -> Iterator[ReferenceBatch]:
        for rows in self._in_batches(sql_batches.read_rows):
            yield from sql_batches.to_batches(rows, self._sealer)

    def standings(self) -> Iterator[StandingBatch]:
        yield from self._in_batches(sql_batches.read_standings)

    def follow_anew(self, tenant: str, number: int) -> bool:
        def work(connection: Connection) -> bool:
            connection.execute(select(speakers.c.seq).where(speakers.c.seq == number).with_for_update())
            return self._follower.changed(connection, tenant, number)

        return self._database.write(work)

    def count_speakers(self) -> int:
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(speakers)).scalar_one()

    def check(self) -> None:
        with self._database.reading() as connection:
            connection.execute(select(speakers.c.seq).limit(1)).all()

    def close(self) -> None:
        self.fingerprints.close()
        self._database.close()

    def _in_batches(self, read: Callable[[Connection, int], _T]) -> Iterator[_T]:
        """What `read` gives of each stretch of numbers. No transaction stays while the caller works on one."""
        after = 0
        while True:
            with self._database.reading() as connection:
                first = sql_batches.next_number(connection, after)
                if first is None:
                    return
                found = read(connection, first)
            yield found
            after = first + sql_batches.N_NUMBERS_IN_BATCH - 1

    def _erase(self, work: Callable[[Connection, Noted, Traces], _T]) -> _T:
        def transaction() -> _T:
            traces = Traces()
            with self._erasures.noted() as noted, self._database.erasing(traces) as connection:
                return work(connection, noted, traces)

        return carried_through(transaction)


def _one_size(clips: Sequence[NewEnrollment]) -> int:
    """n_embedding of these clips. Raises InvalidArgument for none, ValueError for embeddings that could not be scored.

    The latter are a mistake of ours, not of the caller: an embedder gives unit float32 of one shape.
    """
    if not clips:
        raise InvalidArgument("Enrolling needs at least one clip; got none.")
    n_embedding = len(clips[0].embedding)
    for clip in clips:
        if clip.embedding.dtype != np.float32 or clip.embedding.shape != (n_embedding,):
            raise ValueError(
                f"an embedding is float32 of shape ({n_embedding},); "
                f"got {clip.embedding.dtype} of shape {clip.embedding.shape}"
            )
        unit(clip.embedding)
    return n_embedding
