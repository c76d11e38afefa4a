"""What was erased stays erased, whichever copy of the database is put back.

An erasure leaves a mark: an HMAC-SHA256, under a secret of this service, of what the erased one had that nobody after it
has. For a speaker that is its number with the moment it was made, since numbers start again where an old copy of the
database is put back; for an enrollment, its random id. A mark is written in the transaction of its erasure, and to a file
beside the database before the erasure is acknowledged. So a line of the file stands for an erasure that was committed, and
a row that bears its mark is one that came back.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Column, Connection, delete, insert, select

from app.adapters.database import Database
from app.adapters.erasure_file import ERASURE_FILE, Erasure, ErasureFile
from app.adapters.sql_secrets import Secrets
from app.adapters.tables import enrollments, erasures, speakers
from app.errors import StoreError
from app.settings import Settings

_log = logging.getLogger(__name__)

N_ROWS_AT_ONCE = 500
"""In one DELETE; SQLite before 3.32 takes no more than 999 values."""


class Noted:
    """The marks that one transaction leaves."""

    def __init__(self, key: bytes | None, file: ErasureFile | None) -> None:
        self._key, self._file = key, file
        self._places: list[tuple[int, Erasure]] = []

    def speaker(self, connection: Connection, number: int, now: datetime) -> None:
        """Before the speaker's row goes."""
        if self._key is not None:
            row = connection.execute(
                select(speakers.c.tenant, speakers.c.created_at).where(speakers.c.seq == number)
            ).one()
            self._note(connection, speaker_mark(self._key, row.tenant, number, row.created_at), now)

    def enrollment(self, connection: Connection, tenant: str, enrollment_id: str, now: datetime) -> None:
        if self._key is not None:
            self._note(connection, enrollment_mark(self._key, tenant, enrollment_id), now)

    def write_down(self) -> None:
        """Once the transaction is committed. Where that fails, the next start makes up for it."""
        try:
            for place, erasure in self._places:
                assert self._file is not None
                self._file.fill(place, erasure)
        except StoreError as error:
            _log.error(
                "%s An erasure is in the database and not in the log; this is tried again at the next start.", error
            )

    def _note(self, connection: Connection, mark: str, now: datetime) -> None:
        connection.execute(insert(erasures).values(mark=mark, erased_at=now))
        if self._file is not None:
            self._places.append((self._file.reserve(), Erasure(mark, now)))


class Erasures:
    """Leaves the marks of a store's erasures, under `key`, and in `file` where there is one."""

    def __init__(self, key: bytes | None, file: ErasureFile | None) -> None:
        self._key, self._file = key, file

    @contextmanager
    def noted(self) -> Iterator[Noted]:
        """Around the transaction."""
        noted = Noted(self._key, self._file)
        yield noted
        noted.write_down()


UNLOGGED = Erasures(None, None)
"""Leaves no marks: for a store that has no secrets."""


def open_erasures(database: Database, secrets: Secrets, settings: Settings) -> Erasures:
    """Brings database and file together first: what is in one of them only is written to the other, and whoever is in the
    database although the file says that they were erased goes again. Raises StoreError.
    """
    if not database.is_file:
        return Erasures(secrets.speaker_ids, None)  # several processes may share it, and not a disk
    file = ErasureFile(settings.data_dir / ERASURE_FILE)
    in_file = file.read()
    with database.reading() as connection:
        in_table = read_erasures(connection)
    unknown = [erasure for mark, erasure in in_file.items() if mark not in in_table]
    if unknown:
        with database.erasing() as connection:
            n_swept = sweep(connection, [secrets.speaker_ids], in_file)
            merge_erasures(connection, unknown)
        _log.warning(
            "the database lacked %d erasures that the log %s has: an older copy was put back. What it held of those "
            "who were erased since is erased again: %d speakers and enrollments.",
            len(unknown),
            file.path,
            n_swept,
        )
    file.append(erasure for mark, erasure in in_table.items() if mark not in in_file)
    return Erasures(secrets.speaker_ids, file)


def speaker_mark(key: bytes, tenant: str, number: int, created_at: datetime) -> str:
    return _mark(key, ["speaker", tenant, number, created_at.astimezone(UTC).isoformat(timespec="microseconds")])


def enrollment_mark(key: bytes, tenant: str, enrollment_id: str) -> str:
    return _mark(key, ["enrollment", tenant, enrollment_id])


def read_erasures(connection: Connection) -> dict[str, Erasure]:
    """By mark."""
    return {row.mark: Erasure(row.mark, row.erased_at) for row in connection.execute(select(erasures))}


def merge_erasures(connection: Connection, unknown: Iterable[Erasure]) -> None:
    """Adds those that the database does not have."""
    rows = [{"mark": erasure.mark, "erased_at": erasure.erased_at} for erasure in unknown]
    if rows:
        connection.execute(insert(erasures), rows)


def sweep(connection: Connection, keys: Sequence[bytes], marks: Mapping[str, object]) -> int:
    """Erases every speaker and enrollment that bears one of these marks under one of the keys. How many."""
    people = connection.execute(select(speakers.c.seq, speakers.c.tenant, speakers.c.created_at))
    numbers = [
        row.seq
        for row in people
        if any(speaker_mark(key, row.tenant, row.seq, row.created_at) in marks for key in keys)
    ]
    clips = connection.execute(select(enrollments.c.seq, enrollments.c.tenant, enrollments.c.enrollment_id))
    clip_numbers = [
        row.seq for row in clips if any(enrollment_mark(key, row.tenant, row.enrollment_id) in marks for key in keys)
    ]
    _delete(connection, enrollments.c.seq, clip_numbers)
    _delete(connection, speakers.c.seq, numbers)
    return len(numbers) + len(clip_numbers)


def _delete(connection: Connection, column: Column[int], values: Sequence[int]) -> None:
    for start in range(0, len(values), N_ROWS_AT_ONCE):
        connection.execute(delete(column.table).where(column.in_(values[start : start + N_ROWS_AT_ONCE])))


def _mark(key: bytes, parts: list[str | int]) -> str:
    return hmac.digest(key, json.dumps(parts).encode(), hashlib.sha256).hex()
