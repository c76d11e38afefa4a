"""The audit trail of PostgreSQL read back, beside the replicas that write it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from typing import Any

from sqlalchemy import Column, Row, select, tuple_

from app.adapters.audit_found import CheckedTrail, asked_entry
from app.adapters.audit_lines import TrailKeys, is_chained, read_line
from app.adapters.database import Database
from app.adapters.engine import make_engine, parse_url
from app.adapters.postgres_tables import audit_entries
from app.adapters.sql_audit_check import ChainCheck, StoredLine
from app.adapters.sql_audit_rows import first_lines

N_LINES_AT_ONCE = 5000
_BY_CHAIN = (audit_entries.c.chain, audit_entries.c.place)
_BY_TIME = (audit_entries.c.written_at, *_BY_CHAIN)


class SqlTrail:
    """In PostgreSQL."""

    def __init__(self, database_url: str, keys: TrailKeys) -> None:
        self._database_url = database_url
        self._keys = keys

    def entries(self, tenant: str | None = None, speaker_id: str | None = None) -> Iterator[dict[str, Any]]:
        """As `Trail.entries`, by the time at which they were written, whichever process wrote them. Raises StoreError."""
        speaker = None if speaker_id is None else self._keys.speaker(tenant, speaker_id)
        with self._opened() as database:
            for row in _in_batches(database, _BY_TIME):
                if (fields := asked_entry(row.line.encode(), tenant, speaker)) is not None:
                    yield fields

    def check(self, held_macs: str | None = None) -> CheckedTrail:
        """Every line against the one before it, and every chain against those that name its end; `held_macs`, where given,
        must be those of lines that are there. Raises StoreError.
        """
        with self._opened() as database:
            check = ChainCheck(self._keys, self._openings(database), held_macs)
            for chain, rows in groupby(_in_batches(database, _BY_CHAIN), key=lambda row: row.chain):
                check.add(chain, (StoredLine(row.place, row.written_at, row.line.encode()) for row in rows))
            # Meanwhile somebody may have begun to delete what is old.
            return check.checked(self._openings(database))

    def _openings(self, database: Database) -> list[dict[str, Any]]:
        """The fields of each first line that is as it was written."""
        with database.reading() as connection:
            lines = first_lines(connection)
        return [read_line(line) for line in lines if is_chained(line, b"", self._keys)]

    def _opened(self) -> closing[Database]:
        return closing(Database(make_engine(parse_url(self._database_url))))


def _in_batches(database: Database, order: Sequence[Column[Any]]) -> Iterator[Row[Any]]:
    """Every line in this order. No transaction stays while the caller works on some."""
    query = select(audit_entries).order_by(*order).limit(N_LINES_AT_ONCE)
    following = query
    while True:
        with database.reading() as connection:
            rows = connection.execute(following).all()
        yield from rows
        if len(rows) < N_LINES_AT_ONCE:
            return
        last = [getattr(rows[-1], column.name) for column in order]
        # The first column by itself lets the index find where to go on.
        following = query.where(order[0] >= last[0], tuple_(*order) > tuple_(*last))
