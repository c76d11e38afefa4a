"""A database at the schema of this release: opening, transactions, erasing without a trace, closing."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, inspect, select

from app.adapters.database_errors import named_errors
from app.adapters.database_lock import DatabaseLock
from app.adapters.engine import make_engine, parse_url, shown, writing
from app.adapters.files import sync_folder
from app.adapters.master_key import MasterKey
from app.adapters.postgres import DEFAULT_LIMITS, PostgresLimits, reading, take_migration_lock
from app.adapters.readers_writer_lock import ReadersWriterLock
from app.adapters.retrying import carried_through
from app.adapters.tables import secrets
from app.adapters.traces import Traces
from app.adapters.wiping import Wiper
from app.errors import StoreError
from app.stages import stage

MIGRATIONS = Path(__file__).parent / "migrations"

_T = TypeVar("_T")


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
        self._for_reading = engine if self._is_sqlite else reading(engine)
        self._turns = ReadersWriterLock()
        self._wiper = Wiper(engine, self._turns) if self._is_sqlite else None

    @property
    def is_file(self) -> bool:
        """One process's own, beside which other files may lie."""
        return self._is_sqlite

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads, and sees one moment throughout. Raises StoreError."""
        turn: AbstractContextManager[None] = self._turns.reading() if self._is_sqlite else nullcontext()
        with stage("store"), named_errors("The database cannot be read"), turn, self._for_reading.begin() as connection:
            yield connection

    def write(self, work: Callable[[Connection], _T]) -> _T:
        """What `work` gives in a transaction that writes. Where another one is in its way it is run again, and so must have no
        other effect. Raises as `writing`, and StoreError for a broken constraint.
        """

        def transaction() -> _T:
            with self.writing() as connection:
                return work(connection)

        return carried_through(transaction)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction, durable once left without an error. Raises StoreError; InvalidArgument for unstorable values.

        IntegrityError passes: what a broken constraint means is for the caller to say.
        """
        turn: AbstractContextManager[None] = self._turns.writing() if self._is_sqlite else nullcontext()
        transaction = writing(self._engine).begin()
        with (
            stage("store"),
            named_errors("The database cannot be written"),
            turn,
            self._wiper.noted(transaction) if self._wiper else transaction as connection,
        ):
            yield connection

    @contextmanager
    def erasing(self, traces: Traces | None = None) -> Iterator[Connection]:
        """A transaction that writes; what it deletes is then wiped from a SQLite file altogether.

        `traces`, to be filled until the transaction is left, tell what that is. Without them the whole file is rewritten,
        while everybody waits.
        """
        traces = traces or Traces(are_known=False)
        try:
            with self.writing() as connection:
                yield connection
                if self._wiper:
                    self._wiper.owe(connection, traces)
        except BaseException:
            if self._wiper:
                self._wiper.forgive(traces)
            raise
        if self._wiper:
            self._wiper.wipe(traces)

    @contextmanager
    def without_transaction(self) -> Iterator[Connection]:
        """A connection to PostgreSQL on which each statement stands for itself, closed afterwards with all that was set on it.

        Raises StoreError.
        """
        with named_errors("The database cannot be used"), self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.detach()
            yield connection

    def rewrite_if_owed(self) -> None:
        """Where an erasure was cut short, before anybody else comes: what it erased is known no more."""
        if self._wiper:
            self._wiper.rewrite_if_owed()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other process that shares the database is in here. Raises StoreError."""
        if self._is_sqlite:
            yield
            return
        with named_errors("The database cannot be locked"), self._engine.connect() as connection:
            connection.detach()  # from the pool, all of which may be needed in here
            with connection.begin():
                take_migration_lock(connection)
                yield

    def close(self) -> None:
        self._engine.dispose()
        if self._wiper:
            self._wiper.close()
        if self._lock:
            self._lock.release()


def open_database(database_url: str, master: MasterKey, limits: PostgresLimits = DEFAULT_LIMITS) -> Database:
    """Makes the database where there is none, and brings its schema to the newest revision, sealing what was not. Replicas
    that start at once do so one after the other.

    Raises StoreError where the URL cannot be used, another process owns an embedded database, that is damaged, or a
    migration fails.
    """
    url = parse_url(database_url)
    lock = _lock(url, master)
    try:
        with named_errors(f"The database {shown(url)} cannot be opened"):
            if lock:
                _require_sound(url)
            migrate(url, master)
        database = Database(make_engine(url, limits), lock)
        database.rewrite_if_owed()
    except BaseException:
        if lock:
            lock.release()
        raise
    return database


def _lock(url: URL, master: MasterKey) -> DatabaseLock | None:
    """Takes an embedded database's lock, after making its folder and file, which are this user's alone."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise StoreError(
            f"The database {shown(url)} is no file, and what it holds would be lost. Name a file: "
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
        if path.exists():
            _require_writable(path)
        else:
            _make(path, master)
    except OSError as error:
        lock.release()
        raise StoreError(
            f"The database file {path} cannot be written ({error.strerror}). Let this process write to it."
        ) from error
    except BaseException:
        lock.release()
        raise
    return lock


def is_sealed(database_url: str) -> bool:
    """Whether there is a database, and anything in it that only its master key opens. Raises StoreError."""
    url = parse_url(database_url)
    if url.get_backend_name() == "sqlite" and not (url.database and Path(url.database).exists()):
        return False
    engine = make_engine(url)
    try:
        with named_errors(f"The database {shown(url)} cannot be read"), engine.begin() as connection:
            if not inspect(connection).has_table(secrets.name):
                return False
            return connection.execute(select(secrets.c.name).limit(1)).first() is not None
    finally:
        engine.dispose()


def _require_writable(path: Path) -> None:
    """SQLite itself would open what is read-only, and the service begin and fail at its first write."""
    path.open("r+b").close()
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise StoreError(
            f"The folder {path.parent} cannot be written, and the journal goes there. Let this process write to it."
        )


def _make(path: Path, master: MasterKey) -> None:
    """A new database, whole or not at all: so one that is empty was cut off, and is not taken for a new one."""
    new = path.with_name(path.name + ".new")
    for left in (new, new.with_name(new.name + "-journal")):
        left.unlink(missing_ok=True)
    with named_errors(f"The database {path} cannot be made"):
        new.touch(mode=0o600)
        migrate(URL.create("sqlite", database=str(new)), master)
    new.replace(path)
    sync_folder(path.parent)


def _require_sound(url: URL) -> None:
    """Refuses a damaged SQLite file, whose indexes might not find who is there. Less time than reading it takes: 0.7 s for
    200,000 enrollments.
    """
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            if connection.exec_driver_sql("PRAGMA page_count").scalar() == 0:
                raise StoreError(
                    f"The database {shown(url)} is empty, which none is that this service made. Restore a "
                    "backup, or delete the file to begin anew."
                )
            found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
            if found != "ok":
                raise StoreError(f"The database {shown(url)} is damaged: {found}. Restore a backup.")
    finally:
        engine.dispose()


def migrate(url: URL, master: MasterKey, migrations: Path = MIGRATIONS, revision: str = "head") -> None:
    """Brings the schema to the newest of these revisions, or to an older one that is named, in one transaction."""
    config = Config()
    # The value is interpolated, in which a percent sign is special.
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # SQLite alters a table by dropping and rebuilding it, which with foreign keys on would erase what refers to it.
    engine = make_engine(url, foreign_keys=False)
    try:
        with writing(engine).begin() as connection:
            if connection.dialect.name == "postgresql":
                take_migration_lock(connection)
            config.attributes["connection"] = connection
            config.attributes["master"] = master  # for the revision that seals
            command.upgrade(config, revision)
            if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                raise StoreError(
                    f"The database {shown(url)} has enrollments of speakers that are not in it. Restore a backup."
                )
    except CommandError as error:
        raise StoreError(
            f"The database {shown(url)} was written by a newer release of Vouch ({error}). Install that "
            "release, or restore a backup that this one wrote."
        ) from error
    finally:
        engine.dispose()
