"""The databases that bench/faults.py kills a service on: when one writes, and whether one is sound."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Protocol

import psycopg
from postgres_server import PostgresServer
from running import ROOT, get
from sqlalchemy import make_url

from app.settings import Settings

N_BALLAST = 3000
"""Speakers of another tenant: they make the file some MB, so that wiping an erasure takes a while."""
OLD_SCHEMA = ROOT / "tests" / "contract" / "schemas" / "0001.sql"
LONGEST_IDLE_S = 5
"""Within a transaction, of a connection whose process was killed."""


class FaultDatabase(Protocol):
    @property
    def folder(self) -> Path:
        """The service's data directory."""
        ...

    @property
    def environ(self) -> Mapping[str, str]:
        """What a service needs to be told."""
        ...

    @property
    def settings(self) -> Settings:
        """As a command beside the service has them."""
        ...

    def add_ballast(self) -> None:
        """Once the schema is there."""
        ...

    def await_writing(self, goes_on: Callable[[], bool]) -> None:
        """Until a transaction has written something, or it does not go on."""
        ...

    def unsound(self, n_erased: int) -> list[str]:
        """What is wrong, as another program finds it. So many speakers are known to be erased, at least."""
        ...

    def older(self) -> AbstractContextManager[FaultDatabase]:
        """Another one, which a start has to migrate."""
        ...

    def lost_by_migration(self, port: int) -> list[str]:
        """What such a one held and has no more, by itself and as the service at this port tells."""
        ...


class SqliteDatabase:
    """A file in the data directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ: Mapping[str, str] = {}
        self.settings = Settings(data_dir=folder)
        self._path = folder / "vouch.db"

    def add_ballast(self) -> None:
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.execute(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
                "INSERT INTO speakers (tenant, speaker_id, display_name, metadata, created_at, updated_at) "
                "SELECT 'ballast', 'ballast ' || i, hex(randomblob(500)), '{}', '2026-01-01 00:00:00.000000', "
                "'2026-01-01 00:00:00.000000' FROM n",
                [N_BALLAST],
            )

    def await_writing(self, goes_on: Callable[[], bool]) -> None:
        journal = self._path.with_name("vouch.db-journal")
        while goes_on():
            try:
                if journal.stat().st_size:
                    return
            except FileNotFoundError:
                pass

    def unsound(self, n_erased: int) -> list[str]:
        errors = []
        with closing(sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchall()
            if found != [("ok",)]:
                errors.append(f"unsound: {self._path}: {found}")
            marks = {mark for (mark,) in connection.execute("SELECT mark FROM erasures")}
            if connection.execute("PRAGMA user_version").fetchone() != (0,):
                errors.append("unsound: an erasure is still to be wiped after a start")
        log = self.folder / "erasures.log"
        in_log = set(log.read_text(encoding="utf-8").split()[::3]) if log.exists() else set()
        if in_log != marks or len(marks) < n_erased:
            errors.append(f"unsound: of {len(marks)} erasures, {n_erased} at least, the log has {len(in_log & marks)}")
        return errors

    @contextmanager
    def older(self) -> Iterator[SqliteDatabase]:
        """Of the oldest schema."""
        folder = self.folder.with_name("old")
        folder.mkdir(mode=0o700)
        older = SqliteDatabase(folder)
        with closing(sqlite3.connect(older._path)) as connection:
            connection.executescript(OLD_SCHEMA.read_text(encoding="utf-8"))
        older.add_ballast()
        yield older
        shutil.rmtree(folder)

    def lost_by_migration(self, port: int) -> list[str]:
        told = [json.loads(get(port, f"/v1/speakers/{name}")[1]) for name in ("alice", "bob")]
        with closing(sqlite3.connect(self._path)) as connection:
            after = _rows(connection)
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(OLD_SCHEMA.read_text(encoding="utf-8"))
            before = _rows(connection)
        errors = []
        if [one.get("enrollment_count") for one in told] != [2, 0]:
            errors.append(f"lost: after a killed migration the service tells {told}")
        if after != before:
            errors.append(f"lost: after a killed migration there are {after}, and {before} were there")
        return errors


class PostgresDatabase:
    """Of a server that goes on, whatever is killed."""

    def __init__(self, folder: Path, server: PostgresServer, url: str) -> None:
        self.folder = folder
        self.environ = {"VOUCH_DATABASE_URL": url}
        self.settings = Settings(data_dir=folder, database_url=url)
        self._server = server
        self._url = url

    def add_ballast(self) -> None:
        """None is needed: nothing is wiped."""

    def await_writing(self, goes_on: Callable[[], bool]) -> None:
        with self._connected() as connection:
            while goes_on():
                writing = (
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
                )
                if connection.execute(writing).fetchone():
                    return

    def unsound(self, n_erased: int) -> list[str]:
        errors = []
        with self._connected() as connection:
            left = connection.execute(
                "SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL "
                "AND now() - xact_start > make_interval(secs => %s)",
                [LONGEST_IDLE_S],
            ).fetchall()
            (n_marks,) = connection.execute("SELECT count(*) FROM erasures").fetchone() or (0,)
        if left:
            errors.append(f"unsound: transactions that nobody ends: {left}")
        if n_marks < n_erased:
            errors.append(f"unsound: there are {n_marks} erasures, and {n_erased} at least were acknowledged")
        return errors

    @contextmanager
    def older(self) -> Iterator[PostgresDatabase]:
        """One that is empty."""
        folder = self.folder.with_name("old")
        folder.mkdir(mode=0o700)
        with self._server.database() as url:
            yield PostgresDatabase(folder, self._server, url)
        shutil.rmtree(folder)

    def lost_by_migration(self, port: int) -> list[str]:
        status, body = get(port, "/v1/speakers")
        return [] if status == 200 else [f"wrong_answer: after a killed first start a list is answered with {body!r}"]

    def _connected(self) -> psycopg.Connection:
        return psycopg.connect(
            make_url(self._url).set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True
        )


def _rows(connection: sqlite3.Connection) -> tuple[list[tuple[object, ...]], int]:
    """Who is there, and how many clips."""
    who = connection.execute("SELECT seq, tenant, speaker_id FROM speakers WHERE tenant <> 'ballast' ORDER BY 1")
    return who.fetchall(), connection.execute("SELECT count(*) FROM enrollments").fetchone()[0]
