"""A database at the schema of this release: opening, transactions, erasing without a trace, closing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from app.adapters.database_lock import DatabaseLock
from app.adapters.engine import make_engine, parse_url, without_transactions, writing
from app.adapters.readers_writer_lock import ReadersWriterLock
from app.errors import StoreError
from app.stages import stage
from model.errors import InvalidArgument

_log = logging.getLogger(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"


class Database:
    """Transactions on one database, from any number of threads.

    On SQLite the threads take turns here, since SQLite's own waiting is polling: of eight threads that write all the
    time, the unluckiest waited 5 s for a commit of 20 ms (measured), and 1 s in turn. The waiting is part of the stage
    `store`: to a caller it is the store that is slow.
    """

    def __init__(self, engine: Engine, lock: DatabaseLock | None = None) -> None:
        """`lock`, where given, is released by `close`."""
        self._engine = engine
        self._lock = lock
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._turns = ReadersWriterLock()

    @property
    def is_embedded(self) -> bool:
        """Whether this process alone has it."""
        return self._is_sqlite

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads. Raises StoreError."""
        turn: AbstractContextManager[None] = self._turns.reading() if self._is_sqlite else nullcontext()
        with stage("store"), _named_errors("The database cannot be read"), turn, self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, durable once left without an error. Raises StoreError; InvalidArgument for unstorable values.

        IntegrityError passes: what a broken constraint means is for the caller to say.
        """
        turn: AbstractContextManager[None] = self._turns.writing() if self._is_sqlite else nullcontext()
        with (
            stage("store"),
            _named_errors("The database cannot be written"),
            turn,
            writing(self._engine).begin() as connection,
        ):
            yield connection

    @contextmanager
    def erasing(self) -> Iterator[Connection]:
        """A transaction that writes; what it deletes is then wiped from a SQLite file altogether."""
        with self.writing() as connection:
            yield connection
            if self._is_sqlite:
                # Owed from here on, even if the process dies before it is done.
                connection.exec_driver_sql("PRAGMA user_version=1")
        self.compact_if_owed()

    def compact_if_owed(self) -> None:
        """Rewrites a SQLite file that something was erased from.

        `secure_delete` overwrites a row where it lies, but not the copies that SQLite leaves in the gaps of pages as
        it moves rows about (seen once in about four thousand erasures). Takes time in proportion to the file: 0.1 s
        for 20,000 enrollments.
        """
        if not self._is_sqlite:
            return
        try:
            with (
                stage("store"),
                _named_errors("The database file cannot be compacted after an erasure"),
                self._turns.writing(),
                without_transactions(self._engine).connect() as connection,
            ):
                if connection.exec_driver_sql("PRAGMA user_version").scalar():
                    connection.exec_driver_sql("VACUUM")
                    connection.exec_driver_sql("PRAGMA user_version=0")
        except StoreError as error:
            # The rows are deleted and overwritten where they lay: no reason to fail, or not to start.
            _log.error("%s Stray copies may be left in it; this is tried again at the next erasure or start.", error)

    def close(self) -> None:
        self._engine.dispose()
        if self._lock:
            self._lock.release()


def open_database(database_url: str) -> Database:
    """Makes the database where there is none, and brings its schema to the newest revision.

    Raises StoreError where the URL cannot be used, another process owns an embedded database, or a migration fails.
    """
    url = parse_url(database_url)
    lock = _lock(url)
    try:
        with _named_errors(f"The database {url.render_as_string()} cannot be opened"):
            migrate(url)
        database = Database(make_engine(url), lock)
        database.compact_if_owed()
    except BaseException:
        if lock:
            lock.release()
        raise
    return database


def _lock(url: URL) -> DatabaseLock | None:
    """Takes an embedded database's lock, after making its folder and file, which are this user's alone."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StoreError(
            f"The database {url.render_as_string()} is no file, and what it holds would be lost. Name a file: "
            "sqlite:///data/vouch.db."
        )
    path = Path(url.database)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"The folder {path.parent} cannot be made ({error.strerror}). Set VOUCH_DATA_DIR to one that this process "
            "may write to."
        ) from error
    lock = DatabaseLock(path)
    try:
        path.touch(mode=0o600)
    except OSError as error:
        lock.release()
        raise StoreError(
            f"The database file {path} cannot be written ({error.strerror}). Let this process write to it."
        ) from error
    return lock


def migrate(url: URL, migrations: Path = MIGRATIONS) -> None:
    """Brings the schema to the newest of these revisions, in one transaction."""
    config = Config()
    # The value is interpolated, in which a percent sign is special.
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # SQLite alters a table by dropping and rebuilding it, which with foreign keys on would erase what refers to it.
    engine = make_engine(url, foreign_keys=False)
    try:
        with writing(engine).begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise StoreError(
                    f"The database {url.render_as_string()} has enrollments of speakers that are not in it. "
                    "Restore a backup."
                )
    except CommandError as error:
        raise StoreError(
            f"The database {url.render_as_string()} was written by a newer release of Vouch ({error}). Install that "
            "release, or restore a backup that this one wrote."
        ) from error
    finally:
        engine.dispose()


@contextmanager
def _named_errors(what_failed: str) -> Iterator[None]:
    """Turns whatever SQLAlchemy raises inside into a sentence with the driver's own words.

    InvalidArgument for a value that the database cannot hold (half a surrogate pair), else StoreError.
    """
    try:
        yield
    except IntegrityError:
        raise
    except UnicodeEncodeError as error:
        raise InvalidArgument(
            "A text holds half of a surrogate pair, which is no character. Send valid Unicode."
        ) from error
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        if isinstance(error, DataError):
            raise InvalidArgument(f"A value cannot be stored: {reason}.") from error
        raise StoreError(f"{what_failed}: {str(reason).strip().rstrip('.')}. {_advice(str(reason))}") from error


def _advice(reason: str) -> str:
    if "is full" in reason:
        return "Free some space and try again."
    if "readonly" in reason:
        return "Let this process write to the file and to its folder, where the journal goes."
    if "not a database" in reason or "malformed" in reason:
        return "Restore a backup."
    return "Check that the database can be reached and has space, then try again."
