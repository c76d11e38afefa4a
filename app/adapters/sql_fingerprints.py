"""FingerprintStore on a SQL database: rows that go with their speaker, and with their enrollment.

Those of enrollments are written with them. Those of verified clips, whose answers no disk may hold up, are written behind, and
where processes share the database, in a commit that does not wait for its disk; the speaker's number, which is never used
twice, keeps one that comes late from anybody but its speaker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, insert, select

from app.adapters.database import Database
from app.adapters.postgres import commit_without_waiting
from app.adapters.sealing import Sealer, SpeakerSeal
from app.adapters.tables import enrollments, fingerprints, speakers
from app.adapters.write_behind import WriteBehind
from app.errors import StoreError
from app.records import NewEnrollment
from model.fingerprint import Fingerprint

_log = logging.getLogger(__name__)


def query() -> Select[Any]:
    """Fingerprints beside their speakers, oldest first."""
    return (
        select(
            speakers.c.tenant,
            speakers.c.speaker_id,
            speakers.c.data_key,
            fingerprints.c.seq,
            fingerprints.c.enrollment_seq,
            fingerprints.c.sealed,
        )
        .select_from(speakers.join(fingerprints))
        .order_by(fingerprints.c.seq)
    )


# Made once: putting it together takes as long as running it.
_OF_SPEAKER = query().where(speakers.c.seq == bindparam("number"))


@dataclass(frozen=True, eq=False)
class _Heard:
    """A verified clip that is not written yet."""

    number: int
    words: Fingerprint
    heard_at: datetime


class SqlFingerprints:
    """Fulfils `app.ports.FingerprintStore`, where the contract is written."""

    def __init__(self, database: Database, sealer: Sealer, n_kept: int, clock: Callable[[], datetime]) -> None:
        """`n_kept` verified clips of each speaker, the latest; with 0 nothing is kept or known."""
        self._database, self._sealer, self._n_kept, self._clock = database, sealer, n_kept, clock
        self._behind = WriteBehind("fingerprints of verified clips", self._write)

    def of_speaker(self, number: int) -> tuple[Fingerprint, ...]:
        if not self._n_kept:
            return ()
        # Before the rows: what is written in between is then found twice, and not missed.
        waiting = [one.words for one in self._behind.waiting() if one.number == number]
        with self._database.reading() as connection:
            rows = connection.execute(_OF_SPEAKER, {"number": number}).all()
        enrolled: list[Fingerprint] = []
        heard: list[Fingerprint] = []
        if rows:
            seal = self._sealer.of(rows[0].tenant, rows[0].speaker_id, rows[0].data_key)
            for row in rows:
                words = _opened(seal, row.sealed, row.seq)
                if words is not None:
                    (heard if row.enrollment_seq is None else enrolled).append(words)
        return (*enrolled, *[*heard, *waiting][-self._n_kept :])

    def remember(self, number: int, words: Fingerprint) -> None:
        if not self._n_kept:
            return
        heard = _Heard(number, words, self._clock())
        if not self._database.is_file:
            # Another process may be sent the same recording next.
            try:
                self._write([heard])
                return
            except StoreError as error:
                _log.warning("the fingerprint of a verified clip could not be written, and waits: %s", error)
        self._behind.put(heard)

    def forget(self, number: int) -> None:
        """What is not written yet of a speaker whose rows are gone."""
        self._behind.discard(lambda one: one.number == number)

    def add_enrolled(
        self,
        connection: Connection,
        number: int,
        enrollment_ids: Sequence[str],
        clips: Sequence[NewEnrollment],
        seal: SpeakerSeal,
        now: datetime,
    ) -> None:
        """In the transaction that has added these clips as these enrollments."""
        words_of = {
            enrollment_id: clip.fingerprint
            for enrollment_id, clip in zip(enrollment_ids, clips, strict=True)
            if clip.fingerprint is not None
        }
        if not self._n_kept or not words_of:
            return
        found = connection.execute(
            select(enrollments.c.seq, enrollments.c.enrollment_id)
            .where(enrollments.c.enrollment_id.in_(words_of))
            .order_by(enrollments.c.seq)
        )
        rows = [
            {
                "speaker_seq": number,
                "enrollment_seq": row.seq,
                "sealed": seal.seal_fingerprint(words_of[row.enrollment_id]),
                "heard_at": now,
            }
            for row in found
        ]
        connection.execute(insert(fingerprints), rows)

    def remove_all(self) -> None:
        """For whoever has switched them off."""
        with self._database.reading() as connection:
            if connection.execute(select(fingerprints.c.seq).limit(1)).first() is None:
                return
        with self._database.erasing() as connection:
            connection.execute(delete(fingerprints))

    def write_now(self) -> None:
        """What waits to be written."""
        self._behind.write_now()

    def close(self) -> None:
        self._behind.close()

    def _write(self, heard: Sequence[_Heard]) -> None:
        """Of whoever is still there. Raises StoreError."""
        numbers = {one.number for one in heard}
        keys = select(speakers.c.seq, speakers.c.tenant, speakers.c.speaker_id, speakers.c.data_key)
        # Nobody of them is erased before the transaction ends.
        of_present = (
            keys.where(speakers.c.seq.in_(numbers)).order_by(speakers.c.seq).with_for_update(read=True, key_share=True)
        )

        def work(connection: Connection) -> None:
            if not self._database.is_file:
                commit_without_waiting(connection)
            found = connection.execute(of_present)
            seals = {row.seq: self._sealer.of(row.tenant, row.speaker_id, row.data_key) for row in found}
            rows = [
                {
                    "speaker_seq": one.number,
                    "sealed": seals[one.number].seal_fingerprint(one.words),
                    "heard_at": one.heard_at,
                }
                for one in heard
                if one.number in seals
            ]
            if rows:
                connection.execute(insert(fingerprints), rows)
            for number in seals:
                self._trim(connection, number)

        self._database.write(work)

    def _trim(self, connection: Connection, number: int) -> None:
        is_heard = (fingerprints.c.speaker_seq == number, fingerprints.c.enrollment_seq.is_(None))
        first_too_many = (
            select(fingerprints.c.seq)
            .where(*is_heard)
            .order_by(fingerprints.c.seq.desc())
            .offset(self._n_kept)
            .limit(1)
            .scalar_subquery()
        )
        connection.execute(delete(fingerprints).where(*is_heard, fingerprints.c.seq <= first_too_many))


def _opened(seal: SpeakerSeal, sealed: bytes, seq: int) -> Fingerprint | None:
    """None where it is damaged: one recording fewer is known, which is no reason to turn its speaker away."""
    try:
        return seal.open_fingerprint(sealed)
    except StoreError as error:
        _log.error("fingerprint %d is left out: %s", seq, error)
        return None
