"""The audit trail wherever it is kept, for tests that hold all kinds to one contract."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine, delete, insert, select, text

from app.adapters.audit_files import AuditFiles, audit_files
from app.adapters.audit_lines import TrailKeys, read_line
from app.adapters.audit_reading import Trail
from app.adapters.database import Database
from app.adapters.postgres_tables import audit_entries
from app.adapters.sql_audit import SqlAudit
from app.adapters.sql_audit_reading import SqlTrail
from app.audit import AuditEntry
from app.ports import AuditTrail

KEYS = TrailKeys.of(b"a secret of thirty-two bytes long")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENTRY = AuditEntry(NOON, "verify", "accept", "00ff", "req_1", "ours", "alice", None)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


class Kept(Protocol):
    """Where one trail is kept: empty at first."""

    def opened(self, clock: Callable[[], datetime], keep_days: int = 0) -> AuditTrail: ...

    def read(self, keys: TrailKeys = KEYS) -> Trail | SqlTrail: ...

    def parts(self) -> dict[str, list[bytes]]:
        """The lines of each file or chain, by its name, the first that was begun first."""
        ...

    def replace(self, name: str, lines: Sequence[bytes]) -> None:
        """As somebody does who can write there and lacks the key. No lines: the part is gone."""
        ...

    def unwritable(self) -> AbstractContextManager[None]: ...


class KeptFiles:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def opened(self, clock: Callable[[], datetime], keep_days: int = 0) -> AuditFiles:
        return AuditFiles(self.folder, KEYS, keep_days, clock)

    def read(self, keys: TrailKeys = KEYS) -> Trail:
        return Trail(self.folder, keys)

    def parts(self) -> dict[str, list[bytes]]:
        return {path.name: path.read_bytes().splitlines() for path in audit_files(self.folder)}

    def replace(self, name: str, lines: Sequence[bytes]) -> None:
        if lines:
            (self.folder / name).write_bytes(b"".join(line + b"\n" for line in lines))
        else:
            (self.folder / name).unlink()

    def unwritable(self) -> AbstractContextManager[None]:
        """Within the next line."""
        return full_disk(max((path.stat().st_size for path in audit_files(self.folder)), default=0) + 50)


class KeptRows:
    """In a database that has the schema already, which others use one after the other."""

    def __init__(self, url: str, engine: Engine, database: Database) -> None:
        self.url, self._engine, self.database = url, engine, database
        self.execute("TRUNCATE audit_entries")

    def opened(self, clock: Callable[[], datetime], keep_days: int = 0) -> SqlAudit:
        return SqlAudit(self.database, KEYS, keep_days, clock)

    def read(self, keys: TrailKeys = KEYS) -> SqlTrail:
        return SqlTrail(self.url, keys)

    def parts(self) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        with self._engine.begin() as connection:
            for row in connection.execute(select(audit_entries).order_by(audit_entries.c.place)):
                found.setdefault(row.chain, []).append(row.line.encode())
        return dict(sorted(found.items(), key=lambda part: read_line(part[1][0])["at"]))

    def replace(self, name: str, lines: Sequence[bytes]) -> None:
        rows = [
            {"chain": name, "place": place, "written_at": _time(line), "line": line.decode()}
            for place, line in enumerate(lines, start=1)
        ]
        with self._engine.begin() as connection:
            connection.execute(delete(audit_entries).where(audit_entries.c.chain == name))
            if rows:
                connection.execute(insert(audit_entries), rows)

    @contextmanager
    def unwritable(self) -> Iterator[None]:
        self.execute("ALTER TABLE audit_entries RENAME TO put_away")
        try:
            yield
        finally:
            self.execute("ALTER TABLE put_away RENAME TO audit_entries")

    def execute(self, statement: str) -> None:
        with self._engine.begin() as connection:
            connection.execute(text(statement))


def _time(line: bytes) -> datetime:
    try:
        return datetime.fromisoformat(read_line(line)["at"])
    except ValueError:
        return NOON


@contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """No file of this process grows past so many bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
