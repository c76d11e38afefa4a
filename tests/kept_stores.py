"""A store as the service has it: with its secrets, and with the log of what was erased."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.adapters.database import is_sealed, open_database
from app.adapters.erasures import open_erasures
from app.adapters.sealing import Sealer
from app.adapters.sql_secrets import open_master_key, open_secrets
from app.adapters.sql_store import SqlSpeakerStore
from app.errors import SpeakerNotFound
from app.ports import SpeakerStore
from app.records import DEFAULT_TENANT as ME
from app.settings import Settings


@contextmanager
def kept_store(folder: Path, database_url: str | None = None) -> Iterator[SqlSpeakerStore]:
    """On `folder`/vouch.db, or on a database elsewhere, as a start of the service opens it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = Settings(data_dir=folder, database_url=database_url)
    master = open_master_key(settings, may_make=not is_sealed(settings.store_url))
    database = open_database(settings.store_url, master)
    try:
        erasures = open_erasures(database, open_secrets(database, master), settings)
        yield SqlSpeakerStore(database, Sealer(master), erasures)
    finally:
        database.close()


def has(store: SpeakerStore, speaker_id: str) -> bool:
    try:
        store.get_speaker(ME, speaker_id)
    except SpeakerNotFound:
        return False
    return True
