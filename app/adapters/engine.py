"""A database URL -> a SQLAlchemy engine. How SQLite is set up is all here; PostgreSQL, in `postgres.py`.

SQLite runs in rollback-journal mode: the versions in common Pythons can corrupt a write-ahead log.
"""

from __future__ import annotations

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError

from app.adapters.postgres import DEFAULT_LIMITS, PostgresLimits, withhold_rows
from app.errors import StoreError

_SQLITE_PRAGMAS = (
    # For another program that looks into the file; threads of this process take turns instead.
    "busy_timeout=30000",
    "journal_mode=DELETE",
    # FULL would leave the deletion of the journal unsynced, and a power cut could then undo an acknowledged commit.
    "synchronous=EXTRA",
    # Where fsync does not reach the disk itself (macOS).
    "fullfsync=ON",
    "secure_delete=ON",
    # Compaction copies every row; no copy of a voice belongs in a temporary directory.
    "temp_store=MEMORY",
)

_BEGIN = "vouch_begin"
"""Execution option: the statement that opens a transaction on SQLite; None opens none."""


def parse_url(database_url: str) -> URL:
    """Raises StoreError for what is no database URL."""
    try:
        url = make_url(database_url)
        url.get_dialect()
    except ArgumentError as error:
        # The text is not repeated: it may hold a password.
        raise StoreError(
            "The database URL cannot be used. Set VOUCH_DATABASE_URL to a SQLAlchemy URL such as "
            "sqlite:///data/vouch.db or postgresql+psycopg://user:password@host/vouch."
        ) from error
    return url


def shown(url: URL) -> str:
    """For a message: without its passwords, wherever in the URL they are."""
    hidden = {name: "***" for name in url.query if "password" in name}
    return url.update_query_dict(hidden).render_as_string()


def make_engine(url: URL, limits: PostgresLimits = DEFAULT_LIMITS, *, foreign_keys: bool = True) -> Engine:
    """An engine that connects at its first use. Raises StoreError where the database is neither of the two.

    `limits` are PostgreSQL's. `foreign_keys` may be False on SQLite only, for migrations.
    """
    is_sqlite = url.get_backend_name() == "sqlite"
    if not is_sqlite and url.drivername != "postgresql+psycopg":
        raise StoreError(
            f"The database {shown(url)} is of a kind that Vouch does not know. Set VOUCH_DATABASE_URL to "
            "postgresql+psycopg://user:password@host/database, or unset it for SQLite."
        )
    engine = create_engine(
        url,
        # Messages of failed statements would otherwise carry names and embeddings into logs.
        hide_parameters=True,
        **({} if is_sqlite else limits.engine_arguments()),
    )
    if is_sqlite:
        _set_up_sqlite(engine, (*_SQLITE_PRAGMAS, f"foreign_keys={'ON' if foreign_keys else 'OFF'}"))
    else:
        withhold_rows(engine)
    return engine


def writing(engine: Engine) -> Engine:
    """The same engine for transactions that write: on SQLite they take the write lock at the start.

    A transaction that read first and wrote later could fail with "database is locked" at any statement.
    """
    return engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})


def without_transactions(engine: Engine) -> Engine:
    """The same engine for SQLite's statements that refuse to run in a transaction."""
    return engine.execution_options(**{_BEGIN: None})


def _set_up_sqlite(engine: Engine, pragmas: tuple[str, ...]) -> None:
    @event.listens_for(engine, "connect")
    def configure(connection: DBAPIConnection, _record: object) -> None:
        # The driver's own transaction handling would begin late, never for SELECT, and commit before DDL.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        statement = connection.get_execution_options().get(_BEGIN, "BEGIN")
        if statement:
            connection.exec_driver_sql(statement)
