"""A whole installation moves from its embedded database to PostgreSQL, or back."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from app.adapters.backup import database_file
from app.adapters.database import is_sealed
from app.adapters.database_lock import DatabaseLock
from app.adapters.engine import parse_url, shown
from app.adapters.migration_sources import embedded_source, has_others, server_source
from app.adapters.migration_targets import begin_server, end_server, file_target, put_in_place, server_target
from app.adapters.postgres import PostgresLimits
from app.adapters.postgres_tables import audit_entries
from app.adapters.sql_secrets import open_master_key
from app.adapters.table_copying import Progress, Tally, copy_tables
from app.adapters.table_rows import count
from app.errors import StoreError
from app.settings import Settings

N_CONNECTIONS = 2
"""One holds the lock on what is filled."""


@dataclass(frozen=True)
class Moved:
    source: str
    target: str
    """Without passwords, both."""
    is_complete: bool
    """Else a service has the source still: what it writes from now on is not in the target, on which none starts."""
    tables: Mapping[str, Tally]
    """By name."""
    n_audit_entries: int
    """Of the trail, in the source and not in the target."""


def move_to_server(settings: Settings, to_url: str, progress: Progress) -> Moved:
    """Copies the embedded database to PostgreSQL, also beside the service that has it. Run again, it goes on.

    Raises StoreError; SettingsError without the master key.
    """
    embedded, url = _embedded(settings), _server_url("--to", to_url)
    file = database_file(embedded.store_url)
    if not file.is_file():
        raise StoreError(f"There is no database at {file}. Set VOUCH_DATA_DIR to the service's data directory.")
    master = open_master_key(embedded, may_make=not is_sealed(embedded.store_url))
    with server_target(url, master, _limits(settings)) as target, embedded_source(embedded, file, master) as source:
        begin_server(target, url, source, master)
        tables = copy_tables(source.connection, target, progress)
        if source.is_final:
            end_server(target)
        return Moved(str(file), shown(url), source.is_final, tables, n_audit_entries=0)


def move_to_file(settings: Settings, from_url: str, to_url: str | None, progress: Progress) -> Moved:
    """Copies a PostgreSQL database to a new SQLite file, also beside the services that use it. Run again, it goes on; the
    file has its name once no service is connected any more.

    Raises StoreError; SettingsError without the master key.
    """
    url, file = _server_url("--from", from_url), _new_file(settings, to_url)
    master = open_master_key(settings, may_make=False)
    lock = DatabaseLock(file)
    try:
        if file.exists():
            raise StoreError(f"{file} is there already, and is not replaced. Move it away, or name another with --to.")
        made = file.with_name(file.name + ".migrating")
        with server_source(url, master, _limits(settings)) as source:
            with file_target(made, source, master) as target:
                tables = copy_tables(source.connection, target, progress)
            n_entries = count(source.connection, audit_entries)
            # One that came meanwhile would write on as soon as it may.
            is_complete = source.is_final and not has_others(source.connection)
            if is_complete:
                put_in_place(made, file)
            return Moved(shown(url), str(file), is_complete, tables, n_entries)
    except OSError as error:
        raise StoreError(f"The database {file} cannot be written ({error.strerror}).") from error
    except sqlite3.Error as error:
        raise StoreError(f"The database {file} cannot be written: {error}.") from error
    finally:
        lock.release()


def _embedded(settings: Settings) -> Settings:
    """With the embedded database, whichever these name: VOUCH_DATABASE_URL may be set for the time afterwards."""
    is_server = parse_url(settings.store_url).get_backend_name() != "sqlite"
    return settings.model_copy(update={"database_url": None}) if is_server else settings


def _new_file(settings: Settings, to_url: str | None) -> Path:
    url = parse_url(to_url or _embedded(settings).store_url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database.startswith((":", "file:")):
        raise StoreError(f"--to is {shown(url)}; beside --from it must be a file, such as sqlite:///data/vouch.db.")
    file = Path(url.database)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder {file.parent} cannot be made ({error.strerror}).") from error
    return file


def _server_url(option: str, text: str) -> URL:
    url = parse_url(text)
    if url.drivername != "postgresql+psycopg":
        raise StoreError(f"{option} is {shown(url)}; it must be postgresql+psycopg://user:password@host/database.")
    return url


def _limits(settings: Settings) -> PostgresLimits:
    return PostgresLimits(N_CONNECTIONS, settings.database_timeout_s)
