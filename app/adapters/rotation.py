"""A new master key in the place of the old one, with nothing lost whenever it is cut short."""

from __future__ import annotations

from dataclasses import dataclass

from app.adapters.database import is_sealed, open_database
from app.adapters.master_key import add_master_key, keep_first_key
from app.adapters.sql_secrets import master_key_file, open_master_key, open_secrets, seal_keys_anew, seal_secrets_anew
from app.settings import Settings


@dataclass(frozen=True)
class Rotated:
    """How much was under another key."""

    n_secrets: int
    n_speakers: int


def rotate(settings: Settings) -> Rotated:
    """Seals everything under a new key. The database must be nobody else's meanwhile.

    A key in a file is made here, and written before the old one, which leaves the file only when nothing needs it any
    more; a key in the environment is the caller's to put before the old one, and to take the old one away afterwards.

    Raises SettingsError, StoreError.
    """
    master = open_master_key(settings, may_make=not is_sealed(settings.store_url))
    path = None if settings.master_key is not None else master_key_file(settings)
    database = open_database(settings.store_url, master)
    try:
        open_secrets(database, master)
        if path is not None:
            add_master_key(path)
            master = open_master_key(settings, may_make=False)
        rotated = Rotated(seal_secrets_anew(database, master), seal_keys_anew(database, master))
        with database.erasing():
            pass  # the old ones lie in the gaps of pages still
    finally:
        database.close()
    if path is not None:
        keep_first_key(path)
    return rotated
