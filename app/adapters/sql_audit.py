"""The audit trail in PostgreSQL: any number of processes write it, and none waits for another."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from app.adapters.audit_lines import CHAIN, TrailKeys, chain_line, chained, closing_line, entry_line, read_line
from app.adapters.audit_waiting import Waiting, WaitingEntries
from app.adapters.database import Database
from app.adapters.postgres_tables import audit_entries
from app.adapters.sql_audit_rows import delete_some_before, newest_ends
from app.audit import AuditEntry
from app.errors import StoreError

_log = logging.getLogger(__name__)

N_ENDS_NAMED = 100
"""By the first line of a chain: of more chains than processes write at once, in 9 kB."""
MAX_UNSYNCED = 1000
"""Lines in memory, after which the next ones are synced."""


@dataclass(frozen=True)
class _Chain:
    """How far one is written."""

    name: str
    day: date
    place: int = 0
    """Of its last line; 0 before the first."""
    line: bytes = b""
    """The last one, without its end."""

    def grown(self, fields: Mapping[str, Any], keys: TrailKeys) -> _Chain:
        line = chained(fields, self.line, keys).removesuffix(b"\n")
        return replace(self, place=self.place + 1, line=line)

    def row(self, written_at: datetime) -> dict[str, Any]:
        """Of its last line."""
        return {"chain": self.name, "place": self.place, "written_at": written_at, "line": self.line.decode()}


_NONE = _Chain("", date.min)


class SqlAudit:
    """Fulfils `app.ports.AuditTrail`.

    With its first entry of a day a process begins a chain of its own, so that old ones can be deleted whole.
    """

    def __init__(self, database: Database, keys: TrailKeys, keep_days: int, clock: Callable[[], datetime]) -> None:
        """`keep_days` of 0 keeps every chain; else `sync` deletes, bit by bit, what is old when one is begun."""
        self._database = database
        self._keys = keys
        self._keep_days = keep_days
        self._clock = clock
        self._waiting = WaitingEntries(self._write_first)
        self._lock = threading.Lock()
        self._chain = _NONE
        self._is_unsure = False
        """Whether the last try may have come further than `_chain` says."""
        self._unsynced: list[dict[str, Any]] = []
        """The last rows of `_chain`, committed, that a crash of the database may take back."""
        self._old_before: datetime | None = None
        """Where chains that ended before it may still be there."""

    @property
    def n_unwritten(self) -> int:
        return len(self._waiting)

    def require_room(self) -> None:
        self._waiting.write_all()

    def write(self, entry: AuditEntry, *, is_synced: bool) -> None:
        self._waiting.add(entry, is_synced=is_synced)

    def sync(self) -> None:
        self._waiting.flush()
        try:
            with self._lock:
                if self._unsynced:
                    self._sync()
            if (old_before := self._old_before) is not None and self._chain.place:
                self._delete_some(old_before)
        except StoreError as error:
            _log.error(
                "%s This is tried again; a crash of the database may take the last lines of the audit trail.", error
            )

    def close(self) -> None:
        """Leaves a closing line: a chain without one is written to still, or its process was killed, or its end cut off."""
        self._waiting.flush()
        with self._lock:
            try:
                if not self._is_unsure:
                    self._end_chain()
            except StoreError as error:
                _log.error("%s The audit trail of this process stays without its closing line.", error)

    def _write_first(self, waiting: Sequence[Waiting]) -> int:
        with self._lock, _named_errors():
            if self._is_unsure and (n_found := self._look()):
                return n_found
            if (today := self._clock().astimezone(UTC).date()) > self._chain.day:
                self._begin_chain(today)
            self._is_unsure = True
            self._insert(waiting)
            self._is_unsure = False
        return len(waiting)

    def _look(self) -> int:
        """How many entries a try wrote after all, of which it was never told. Raises StoreError."""
        query = (
            select(audit_entries)
            .where(audit_entries.c.chain == self._chain.name, audit_entries.c.place > self._chain.place)
            .order_by(audit_entries.c.place)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        if not rows:
            return 0
        self._chain = replace(self._chain, place=rows[-1].place, line=rows[-1].line.encode())
        self._is_unsure, self._unsynced = False, [*self._unsynced, *(dict(row._mapping) for row in rows)]
        return sum(read_line(row.line.encode())["action"] != CHAIN for row in rows)

    def _begin_chain(self, today: date) -> None:
        """Its first line comes with its first entry."""
        self._end_chain()
        self._chain = _Chain(secrets.token_hex(8), today)
        if self._keep_days:
            self._old_before = _begin(today - timedelta(days=self._keep_days))

    def _end_chain(self) -> None:
        if self._chain.place:
            # A chain is of one day, also where the next one is late: by its end it is told whether it is old.
            at = min(self._clock(), _begin(self._chain.day + timedelta(days=1)) - timedelta(microseconds=1))
            closed = self._chain.grown(closing_line(at), self._keys)
            try:
                with self._database.writing() as connection:
                    connection.execute(insert(audit_entries), [*self._taken_back(connection), closed.row(at)])
            except IntegrityError:
                pass  # closed by a try that was never told so
            self._chain, self._unsynced = _NONE, []

    def _insert(self, waiting: Sequence[Waiting]) -> None:
        """In one transaction. Raises StoreError."""
        chain, now, rows = self._chain, self._clock(), []
        is_synced = any(one.is_synced for one in waiting) or len(self._unsynced) >= MAX_UNSYNCED
        try:
            with self._database.writing() as connection:
                if not is_synced:
                    connection.execute(select(func.set_config("synchronous_commit", "off", True)))
                taken_back = self._taken_back(connection)
                if not chain.place:
                    ends = newest_ends(connection, N_ENDS_NAMED)
                    chain = chain.grown(chain_line(now, chain.name, self._old_before, ends), self._keys)
                    rows.append(chain.row(now))
                for one in waiting:
                    chain = chain.grown(entry_line(one.entry, self._keys), self._keys)
                    rows.append(chain.row(one.entry.at))
                connection.execute(insert(audit_entries), [*taken_back, *rows])
        except IntegrityError as error:
            raise StoreError("An earlier try, whose end is not known, writes the same lines.") from error
        # What is synced takes along all that was committed before it.
        self._chain, self._unsynced = chain, [] if is_synced else [*self._unsynced, *rows]

    def _taken_back(self, connection: Connection) -> list[dict[str, Any]]:
        """What a crash of the database, or a standby in its place, has lost of this chain, as far as it is at hand."""
        if not self._chain.place:
            return []
        own = audit_entries.c.chain == self._chain.name
        end = connection.execute(select(func.max(audit_entries.c.place)).where(own)).scalar() or 0
        lost = [row for row in self._unsynced if row["place"] > end]
        if n_gone := self._chain.place - end - len(lost):
            _log.error("the database has lost %d lines of the audit trail, and `vouch audit check` will say so", n_gone)
        if lost:
            _log.warning("the database had lost %d lines of the audit trail, which are written again", len(lost))
        return lost

    def _sync(self) -> None:
        with self._database.writing() as connection:
            if taken_back := self._taken_back(connection):
                connection.execute(insert(audit_entries), taken_back)
            else:
                # A commit waits for the disk where it wrote something: a message that nobody reads.
                connection.execute(select(func.pg_logical_emit_message(True, "vouch", "")))
        self._unsynced = []

    def _delete_some(self, old_before: datetime) -> None:
        with self._database.writing() as connection:
            is_left = delete_some_before(connection, old_before)
        if not is_left:
            if self._old_before == old_before:  # and no other day has begun
                self._old_before = None
            _log.info("the audit trail of before %s is deleted", old_before.date())


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise StoreError(f"The audit trail cannot be written. {error}") from error
