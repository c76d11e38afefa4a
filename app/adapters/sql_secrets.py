"""The service's own secrets: random, made once, and kept in the database under the master key.

So the master key can change without what was hashed or sealed under them: only these few rows are sealed anew.
"""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.adapters.database import Database
from app.adapters.master_key import MasterKey, make_master_key, parse_master_key, read_master_key
from app.adapters.tables import secrets
from app.errors import SettingsError
from app.settings import Settings, variable

SECRET_BYTES = 32
MASTER_KEY_FILE = "master.key"


@dataclass(frozen=True)
class Secrets:
    """32 bytes each."""

    api_keys: bytes
    """For keyed hashes of API keys."""
    speaker_ids: bytes
    """For keyed hashes of speakers' ids, where the id itself must not be kept."""


def open_secrets(database: Database, settings: Settings) -> Secrets:
    """Opens the secrets, and makes them where there are none; the master key too, where its place is the default one.

    Raises SettingsError for a master key that is missing or unreadable, StoreError for another one than the one that the
    database was sealed under.
    """
    with database.reading() as connection:
        is_sealed = connection.execute(select(secrets.c.name).limit(1)).first() is not None
    master = open_master_key(settings, may_make=not is_sealed)
    try:
        with database.writing() as connection:
            return _read(connection, master)
    except IntegrityError:  # another process, on a database that several share, made them at the same moment
        with database.writing() as connection:
            return _read(connection, master)


def seal_anew(database: Database, settings: Settings) -> int:
    """Seals every secret under the first of the master's keys. How many had been under another."""
    master = open_master_key(settings, may_make=False)
    with database.writing() as connection:
        rows = connection.execute(select(secrets)).all()
        stale = [row for row in rows if not master.is_current(row.sealed)]
        for row in stale:
            context = row.name.encode()
            sealed = master.seal(master.open(row.sealed, context), context)
            connection.execute(update(secrets).where(secrets.c.name == row.name).values(sealed=sealed))
    return len(stale)


def open_master_key(settings: Settings, *, may_make: bool) -> MasterKey:
    """Raises SettingsError."""
    if settings.master_key is not None:
        return parse_master_key(settings.master_key.get_secret_value(), variable("master_key"))
    path = settings.master_key_file or settings.data_dir / MASTER_KEY_FILE
    if not path.exists():
        if not may_make:
            raise SettingsError(
                f"The database is sealed, and its master key {path} is not there. Put it back, or set "
                "VOUCH_MASTER_KEY or VOUCH_MASTER_KEY_FILE."
            )
        if settings.master_key_file is not None:
            raise SettingsError(
                f"VOUCH_MASTER_KEY_FILE is {str(path)!r}, which is not there. Make one with `openssl rand -base64 32`."
            )
        make_master_key(path)
    return read_master_key(path)


def _read(connection: Connection, master: MasterKey) -> Secrets:
    sealed = {row.name: row.sealed for row in connection.execute(select(secrets))}
    found = {}
    for name in Secrets.__dataclass_fields__:
        if name in sealed:
            found[name] = master.open(sealed[name], name.encode())
        else:
            found[name] = random.token_bytes(SECRET_BYTES)
            connection.execute(insert(secrets).values(name=name, sealed=master.seal(found[name], name.encode())))
    return Secrets(**found)
