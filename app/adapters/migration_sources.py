"""Where a migration reads: one moment of a database, and whether another one may follow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, func, select, text

from app.adapters.backup import back_up
from app.adapters.database import MIGRATIONS, Database, migrate, open_database
from app.adapters.database_errors import named_errors
from app.adapters.engine import make_engine, shown
from app.adapters.erasures import open_erasures
from app.adapters.leaving import soon
from app.adapters.master_key import MasterKey
from app.adapters.migration_mark import INCOMPLETE, read_mark
from app.adapters.postgres import APPLICATION_NAME, PostgresLimits
from app.adapters.sql_secrets import Secrets, open_secrets, secrets_of
from app.adapters.tables import METADATA
from app.errors import StoreError, StoreInUse
from app.settings import Settings


@dataclass(frozen=True)
class Source:
    connection: Connection
    """A transaction that sees one moment."""
    secrets: Secrets
    is_final: bool
    """Nobody can write to it until it is left, and no service was there."""


@contextmanager
def embedded_source(settings: Settings, file: Path, master: MasterKey) -> Iterator[Source]:
    """The database itself, as a start of the service opens it, or a private copy beside it while a service has it.

    Raises StoreError.
    """
    copy = file.with_name(file.name + ".snapshot")
    for left in file.parent.iterdir():
        if left.name.startswith(copy.name):  # by one that was killed
            left.unlink()
    try:
        database = open_database(settings.store_url, master)
    except StoreInUse:
        opened = _copied(file, copy, master)
    else:
        opened = _held(database, settings, master)
    with opened as source:
        yield source


@contextmanager
def _held(database: Database, settings: Settings, master: MasterKey) -> Iterator[Source]:
    try:
        secrets = open_secrets(database, master)
        open_erasures(database, secrets, settings)
        with database.reading() as connection:
            yield Source(connection, secrets, is_final=True)
    finally:
        database.close()


@contextmanager
def _copied(file: Path, copy: Path, master: MasterKey) -> Iterator[Source]:
    try:
        back_up(file, copy)
        url = URL.create("sqlite", database=str(copy))
        migrate(url, master)  # where the service is of an earlier release
        database = Database(make_engine(url))
        try:
            with database.reading() as connection:
                yield Source(connection, secrets_of(connection, master), is_final=False)
        finally:
            database.close()
    finally:
        copy.unlink(missing_ok=True)


@contextmanager
def server_source(url: URL, master: MasterKey, limits: PostgresLimits) -> Iterator[Source]:
    """A PostgreSQL database at one moment. Where no service is connected to it, nobody can write until this is left.

    Raises StoreError.
    """
    engine = make_engine(url, limits)
    try:
        with (
            named_errors(f"The database {shown(url)} cannot be read"),
            engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection,
        ):
            _require_whole(connection, url)
            is_final = not has_others(connection)
            connection.commit()
            # Statements that take no snapshot: what it sees begins after the locks.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
            if is_final:
                names = ", ".join(table.name for table in METADATA.sorted_tables)
                connection.execute(text(f"LOCK TABLE {names} IN SHARE MODE"))
            yield Source(connection, secrets_of(connection, master), is_final)
    finally:
        engine.dispose()


def has_others(connection: Connection) -> bool:
    """Whether a service, or a command of one, is connected to the same database."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name "
        "AND pid <> pg_backend_pid()"
    )

    def is_alone() -> bool:
        connection.execute(select(func.pg_stat_clear_snapshot()))
        n_others: int = connection.execute(query, {"name": APPLICATION_NAME}).scalar_one()
        return n_others == 0

    return not soon(is_alone)


def _require_whole(connection: Connection, url: URL) -> None:
    """At this release's schema, which is not brought to it here: a service of another one may be running."""
    revision = MigrationContext.configure(connection).get_current_revision()
    newest = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    if revision != newest:
        raise StoreError(
            f"The database {shown(url)} has the schema {revision or 'of no release'}, and this release of Vouch has {newest}. "
            "Start a service of this release on it once."
        )
    if read_mark(connection) == INCOMPLETE:
        raise StoreError(
            f"The database {shown(url)} is itself a copy that is not complete. Use the database that it was copied from."
        )
