"""The service's own secrets: random, made once, and kept in the database under the master key; and how that key changes.

It changes without what was hashed under the secrets, and without one embedding: only keys are sealed anew.
"""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from app.adapters.database import Database
from app.adapters.engine import make_engine, parse_url
from app.adapters.master_key import MasterKey, make_master_key, parse_master_key, read_master_key
from app.adapters.sealing import Sealer
from app.adapters.tables import secrets, speakers
from app.errors import SettingsError, StoreError
from app.settings import Settings, variable

SECRET_BYTES = 32
N_KEYS_AT_ONCE = 1000
MASTER_KEY_FILE = "master.key"


@dataclass(frozen=True)
class Secrets:
    """32 bytes each."""

    api_keys: bytes
    """For keyed hashes of API keys."""
    speaker_ids: bytes
    """For keyed hashes of speakers' ids, where the id itself must not be kept."""


def open_secrets(database: Database, master: MasterKey) -> Secrets:
    """Opens the secrets, and makes them where there are none.

    Raises StoreError for another master key than the one that the database was sealed under.
    """
    return database.write(lambda connection: _read(connection, master))


def read_secrets(database_url: str, master: MasterKey) -> Secrets:
    """Opens the secrets beside whoever has the database. Raises StoreError."""
    engine = make_engine(parse_url(database_url))
    try:
        with engine.begin() as connection:
            sealed = {row.name: row.sealed for row in connection.execute(select(secrets))}
        return Secrets(**{name: master.open(sealed[name], name.encode()) for name in Secrets.__dataclass_fields__})
    except KeyError as error:
        raise StoreError(f"The database lacks the secret {error}. Start the service once; it is made then.") from error
    except SQLAlchemyError as error:
        raise StoreError(f"The database cannot be read ({error}).") from error
    finally:
        engine.dispose()


def seal_secrets_anew(database: Database, master: MasterKey) -> int:
    """Seals every secret under the first of the master's keys. How many had been under another."""

    def work(connection: Connection) -> int:
        rows = connection.execute(select(secrets)).all()
        stale = [row for row in rows if not master.is_current(row.sealed)]
        for row in stale:
            context = row.name.encode()
            sealed = master.seal(master.open(row.sealed, context), context)
            connection.execute(update(secrets).where(secrets.c.name == row.name).values(sealed=sealed))
        return len(stale)

    return database.write(work)


def seal_keys_anew(database: Database, master: MasterKey) -> int:
    """Seals every speaker's key under the first of the master's keys. How many had been under another.

    In many short transactions, so that the service goes on beside it; what is done stays done if it is interrupted.
    """
    sealer, n_sealed = Sealer(master), 0
    last: int | None = 0
    while last is not None:
        last, n_more = database.write(partial(_seal_some_anew, sealer=sealer, after=last))
        n_sealed += n_more
    return n_sealed


def _seal_some_anew(connection: Connection, sealer: Sealer, after: int) -> tuple[int | None, int]:
    """The number of the last speaker that was looked at, None where there was none beyond `after`; and how many were sealed."""
    columns = (speakers.c.seq, speakers.c.tenant, speakers.c.speaker_id, speakers.c.data_key)
    query = select(*columns).where(speakers.c.seq > after).order_by(speakers.c.seq).limit(N_KEYS_AT_ONCE)
    rows = connection.execute(query).all()
    n_sealed = 0
    for number, tenant, speaker_id, sealed_key in rows:
        anew = sealer.sealed_anew(tenant, speaker_id, sealed_key)
        if anew is not None:
            connection.execute(update(speakers).where(speakers.c.seq == number).values(data_key=anew))
            n_sealed += 1
    return (rows[-1].seq if rows else None), n_sealed


def open_master_key(settings: Settings, *, may_make: bool) -> MasterKey:
    """Where it may, it makes one in the default place, for a database that holds nothing sealed. Raises SettingsError."""
    if settings.master_key is not None:
        return parse_master_key(settings.master_key.get_secret_value(), variable("master_key"))
    path = master_key_file(settings)
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


def master_key_file(settings: Settings) -> Path:
    """Where the master key is, if it is not in the environment."""
    return settings.master_key_file or settings.data_dir / MASTER_KEY_FILE


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
