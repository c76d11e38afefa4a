"""Where a migration writes: a database that is nobody else's, and that no service takes for whole before it is."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Table, func, insert, inspect, select, text

from app.adapters.backup import check_database
from app.adapters.database import Database, migrate
from app.adapters.database_errors import named_errors
from app.adapters.engine import make_engine, shown
from app.adapters.files import sync_file, sync_folder
from app.adapters.leaving import soon
from app.adapters.master_key import MasterKey
from app.adapters.migration_mark import COMPLETE, IN_USE, INCOMPLETE, read_mark, set_mark
from app.adapters.migration_sources import Source
from app.adapters.postgres import MIGRATION_LOCK, PostgresLimits, lift_limits
from app.adapters.postgres_tables import audit_entries, deployment
from app.adapters.sql_secrets import secrets_of
from app.adapters.tables import METADATA, secrets
from app.errors import StoreError

COPY_LOCK = MIGRATION_LOCK + 1
"""Key of the advisory lock of the one that fills a database."""


@contextmanager
def server_target(url: URL, master: MasterKey, limits: PostgresLimits) -> Iterator[Database]:
    """A PostgreSQL database at this release's schema, to be begun, filled and ended. Raises StoreError."""
    database = Database(make_engine(url, limits))
    try:
        with database.without_transaction() as connection:
            lock = select(func.pg_try_advisory_lock(COPY_LOCK))
            if not soon(lambda: connection.execute(lock).scalar_one()):
                raise StoreError(f"Another `vouch migrate` is filling {shown(url)}. Wait for it to end.")
            # Before its schema is touched, which may be that of a service of an earlier release.
            _require_unused(connection, url)
            with named_errors(f"The database {shown(url)} cannot be opened"):
                migrate(url, master)
            yield database
    finally:
        database.close()


def begin_server(target: Database, url: URL, source: Source, master: MasterKey) -> None:
    """From here on no service starts on it. Raises StoreError where it holds anything but an earlier copy of this source."""
    with target.writing() as connection:
        _require_unused(connection, url)
        set_mark(connection, INCOMPLETE)
        if not _has_begun(connection, source, master):
            raise StoreError(f"The database {shown(url)} holds a copy of another database. Name an empty one.")


def end_server(target: Database) -> None:
    """From here on a service may start on it."""
    with target.writing() as connection:
        lift_limits(connection)
        connection.execute(text(f"ANALYZE {', '.join(table.name for table in METADATA.sorted_tables)}"))
        set_mark(connection, COMPLETE)


@contextmanager
def file_target(path: Path, source: Source, master: MasterKey) -> Iterator[Database]:
    """A SQLite file, new or left by a copy of the same source that was cut short, to be filled. Raises StoreError."""
    url = URL.create("sqlite", database=str(path))
    path.touch(mode=0o600)
    migrate(url, master)
    database = Database(make_engine(url))
    try:
        with database.writing() as connection:
            if not _has_begun(connection, source, master):
                raise StoreError(f"{path} is the beginning of a copy of another database. Delete it.")
        yield database
    finally:
        database.close()


def put_in_place(made: Path, path: Path) -> None:
    """Checks a filled file, and gives it its name, in the place of no other. Raises StoreError."""
    _rewrite(made)
    check_database(made)
    # One that is left belongs to a database that is gone, and would spoil this one.
    path.with_name(path.name + "-journal").unlink(missing_ok=True)
    os.link(made, path)
    made.unlink()
    sync_folder(path.parent)


def _rewrite(made: Path) -> None:
    """Without what was deleted since an earlier copy, which may lie in the gaps of pages still. By way of a second file: VACUUM
    alone would take as much memory.
    """
    whole = made.with_name(made.name + ".whole")
    whole.unlink(missing_ok=True)  # of one that was killed
    whole.touch(mode=0o600)
    with closing(sqlite3.connect(made)) as connection:
        connection.execute("VACUUM INTO ?", [str(whole)])
    sync_file(whole)
    whole.replace(made)


def _require_unused(connection: Connection, url: URL) -> None:
    """Raises StoreError where a service has worked on it."""
    there = set(inspect(connection).get_table_names())
    mark = read_mark(connection) if deployment.name in there else None
    tables = [table for table in (*METADATA.sorted_tables, audit_entries) if table.name in there]
    if mark == IN_USE or (mark is None and any(_has_rows(connection, table) for table in tables)):
        raise StoreError(
            f"The database {shown(url)} is used by a service already, or was: what it holds would be lost. Name an empty one."
        )


def _has_begun(connection: Connection, source: Source, master: MasterKey) -> bool:
    """Whether it has the source's secrets, which are put into an empty database. They tell one installation from another."""
    if not _has_rows(connection, secrets):
        rows = source.connection.execute(select(secrets)).mappings().all()
        connection.execute(insert(secrets), [dict(row) for row in rows])
    try:
        return secrets_of(connection, master) == source.secrets
    except StoreError:  # sealed under another master key
        return False


def _has_rows(connection: Connection, table: Table) -> bool:
    return connection.execute(select(*table.primary_key).limit(1)).first() is not None
