"""A copy of a SQLite database, made while the service runs, and the checks that tell a sound copy from another file.

The copy is a plain SQLite file. It never holds the master key, which is in no database.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from alembic.script import ScriptDirectory

from app.adapters.database import MIGRATIONS
from app.adapters.engine import parse_url
from app.adapters.files import sync_file, sync_folder
from app.adapters.sealing import STORED_DTYPE, n_elements, n_sealed_bytes
from app.errors import StoreError

N_PAGES_AT_ONCE = 2048
"""8 MiB. Between two such pieces a writer gets in, and then the copy begins anew."""
N_BEGINNINGS = 5
"""Of a copy in pieces. After so many it is made in one go, for which writers wait: about 1 s for a GB."""
WAIT_MS = 20
"""Between two tries while a writer commits."""
LONGEST_WAIT_S = 60.0
"""For a writer that does not end; after it the backup fails, and the service does not notice."""
BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
CHUNK_ROWS = 1000


@dataclass(frozen=True)
class Checked:
    """What a sound database file holds."""

    revision: str
    n_speakers: int
    n_enrollments: int
    n_erasures: int


@dataclass(frozen=True)
class BackedUp:
    checked: Checked
    sha256: str
    n_bytes: int


def database_file(database_url: str) -> Path:
    """Raises StoreError where the database is no file."""
    url = parse_url(database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        raise StoreError(
            "`vouch backup` and `vouch restore` are for SQLite, and the database is PostgreSQL's. Back it up with pg_dump "
            "or your provider's snapshots, and keep a file of `vouch erasures export` beside them; after a restore, and "
            "before any service starts, `vouch erasures apply` erases again whoever was erased since."
        )
    return Path(url.database)


def back_up(database: Path, target: Path, *, may_replace: bool = False) -> BackedUp:
    """Copies the database to `target`, beside a service that may be running: whole and checked, or not at all.

    Raises StoreError.
    """
    if not database.is_file():
        raise StoreError(f"There is no database at {database}. Set VOUCH_DATA_DIR to the service's data directory.")
    if target.exists() and (target.samefile(database) or not may_replace):
        raise StoreError(f"{target} is there already. Name another file, or replace it with --force.")
    part = target.with_name(target.name + ".part")
    try:
        with _one_at_a_time(target.parent):
            _remove(part)
            try:
                part.touch(mode=0o600)
                _copy(database, part)
                _settle(part)
                checked = check_database(part)
                sync_file(part)
                sha256, n_bytes = _sha256(part), part.stat().st_size
                if may_replace:
                    part.replace(target)
                else:
                    os.link(part, target)  # which replaces nothing that came meanwhile
            finally:
                _remove(part)
            sync_folder(target.parent)
    except sqlite3.Error as error:
        raise StoreError(f"The database {database} cannot be copied to {target}: {error}. Try again.") from error
    except OSError as error:
        raise StoreError(f"The backup {target} cannot be written ({error.strerror}).") from error
    return BackedUp(checked, sha256, n_bytes)


def check_database(path: Path) -> Checked:
    """Reads all of a database file that nobody writes to. Raises StoreError where something in it is wrong."""
    for suffix in ("-journal", "-wal"):
        beside = path.with_name(path.name + suffix)
        if beside.exists() and beside.stat().st_size:
            raise StoreError(
                f"{path} is a copy of a database in use, since {beside.name} lies beside it: no backup. Make one with "
                "`vouch backup`."
            )
    try:
        with closing(_connected(path, "mode=ro&immutable=1")) as connection:
            _check_pages(connection, path)
            revision = _check_revision(connection, path)
            _check_embeddings(connection, path)
            _check_fingerprints(connection, path)
            has_log = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'erasures'").fetchone()
            return Checked(
                revision=revision,
                n_speakers=_count(connection, "speakers"),
                n_enrollments=_count(connection, "enrollments"),
                n_erasures=_count(connection, "erasures") if has_log else 0,
            )
    except sqlite3.Error as error:
        raise StoreError(f"{path} is no sound database: {error}. Take another backup.") from error


def _copy(database: Path, part: Path) -> None:
    _roll_back(database)
    with closing(_connected(database, "mode=ro")) as source, closing(sqlite3.connect(part)) as copy:
        copy.execute("PRAGMA synchronous=OFF")  # synced at the end
        try:
            _copy_pages(source, copy, _Patience(N_BEGINNINGS), N_PAGES_AT_ONCE)
        except _TooOftenBegun:
            _copy_pages(source, copy, _Patience(None), -1)


def _copy_pages(source: sqlite3.Connection, copy: sqlite3.Connection, patience: _Patience, n_pages: int) -> None:
    source.backup(copy, pages=n_pages, progress=patience, sleep=WAIT_MS / 1000)


class _TooOftenBegun(Exception):
    """Somebody writes all the time."""


class _Patience:
    """Looks on while SQLite copies: it begins anew whenever somebody has written, and waits while somebody commits."""

    def __init__(self, n_beginnings: int | None) -> None:
        self._n_left = n_beginnings
        self._n_remaining = 0
        self._waits_since_s: float | None = None

    def __call__(self, status: int, n_remaining: int, _n_pages: int) -> None:
        if status in BUSY_CODES:
            now_s = time.monotonic()
            self._waits_since_s = self._waits_since_s or now_s
            if now_s - self._waits_since_s > LONGEST_WAIT_S:
                raise StoreError(
                    f"The database was locked for {LONGEST_WAIT_S:g} s without end. Try again when less is written."
                )
            return
        self._waits_since_s = None
        if n_remaining >= self._n_remaining and self._n_left is not None:
            self._n_left -= 1
            if self._n_left < 0:
                raise _TooOftenBegun
        self._n_remaining = n_remaining


def _roll_back(database: Path) -> None:
    """Undoes what a service that was killed left half-written, which a connection that only reads could not.

    Where a service runs, its journal is its own, and SQLite leaves it alone.
    """
    if database.with_name(database.name + "-journal").exists():
        with closing(_connected(database, "mode=rw")) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master")


def _settle(part: Path) -> None:
    """Where an erasure was committed and not yet wiped, the copy took stray bytes along: they go here, too."""
    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        if copy.execute("PRAGMA user_version").fetchone() != (0,):
            for statement in ("PRAGMA temp_store=MEMORY", "PRAGMA secure_delete=ON", "VACUUM", "PRAGMA user_version=0"):
                copy.execute(statement)


def _check_pages(connection: sqlite3.Connection, path: Path) -> None:
    (first,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if first != "ok":
        raise StoreError(f"{path} is damaged: {first}. Take another backup.")
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        raise StoreError(f"{path} has enrollments of speakers that are not in it. Take another backup.")


def _check_revision(connection: sqlite3.Connection, path: Path) -> str:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        raise StoreError(f"{path} is no database of Vouch's.")
    (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("none",)
    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    if revision not in known:
        raise StoreError(
            f"{path} was written by a newer release of Vouch (schema {revision}; this one knows up to {max(known)}). "
            "Install that release."
        )
    return str(revision)


def _check_embeddings(connection: sqlite3.Connection, path: Path) -> None:
    columns = {row[1] for row in connection.execute("PRAGMA table_info(speakers)")}
    is_embedding = _is_sealed if "data_key" in columns else _is_embedding
    rows = connection.execute("SELECT seq, embedding FROM enrollments")
    while chunk := rows.fetchmany(CHUNK_ROWS):
        for number, stored in chunk:
            if not is_embedding(stored):
                raise StoreError(f"{path} has no embedding in its enrollment {number}. Take another backup.")


def _check_fingerprints(connection: sqlite3.Connection, path: Path) -> None:
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'fingerprints'").fetchone():
        return
    for number, stored in connection.execute("SELECT seq, sealed FROM fingerprints"):
        if not _is_sealed(stored):
            raise StoreError(f"{path} has no fingerprint in its row {number}. Take another backup.")


def _is_sealed(stored: object) -> bool:
    """Whether it is as long as an embedding is once it is sealed, or a fingerprint, whose words are as long as its numbers.

    What is in it only the master key tells.
    """
    return isinstance(stored, bytes) and n_elements(stored) > 0 and len(stored) == n_sealed_bytes(n_elements(stored))


def _is_embedding(stored: object) -> bool:
    """Whether it can be compared with anything."""
    if not isinstance(stored, bytes) or not stored or len(stored) % STORED_DTYPE.itemsize:
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        square = float(np.square(np.frombuffer(stored, dtype=STORED_DTYPE)).sum())
    return np.isfinite(square) and square > 0


def _count(connection: sqlite3.Connection, table: str) -> int:
    (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # nosec B608 # a table's name of ours
    return int(count)


def _connected(path: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?{how}", uri=True, isolation_level=None, timeout=30)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Raises StoreError where another backup is being written there."""
    number = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(f"Another backup is being written in {folder}. Wait for it to end.") from error
        yield
    finally:
        os.close(number)


def _remove(part: Path) -> None:
    for path in (part, part.with_name(part.name + "-journal")):
        path.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
