"""A new master key in the place of the old one, with nothing lost whenever it is cut short."""

from __future__ import annotations

from dataclasses import dataclass

from app.adapters.database import is_sealed, open_database
from app.adapters.master_key import add_master_key, keep_first_key
from app.adapters.sql_secrets import master_key_file, open_master_key, open_secrets, seal_keys_anew, seal_secrets_anew
from app.errors import SettingsError
from app.settings import Settings


@dataclass(frozen=True)
class Rotated:
    """How much was under another key."""

    n_secrets: int
    n_speakers: int
    has_replaced_file: bool
    """Whether the key was in a file, which now holds the new one alone."""


def rotate(settings: Settings) -> Rotated:
    """Seals everything under a new key.

    A key in a file is made here, and written before the old one, which leaves the file only when nothing needs it any
    more; a key in the environment is the caller's to put before the old one, and to take the old one away afterwards. So is
    one of a database that several processes share: they read it from elsewhere.

    Raises SettingsError, StoreError.
    """
    master = open_master_key(settings, may_make=not is_sealed(settings.store_url))
    database = open_database(settings.store_url, master)
    path = master_key_file(settings) if settings.master_key is None and database.is_file else None
    try:
        if not database.is_file and not master.has_several:
            raise SettingsError(
                "There is one master key, and services that share this database read it by themselves. Put a new one "
                "behind it where each of them reads it, then before it, and run this again with both: the new one first."
            )
        open_secrets(database, master)
        if path is not None:
            add_master_key(path)
            master = open_master_key(settings, may_make=False)
        rotated = Rotated(seal_secrets_anew(database, master), seal_keys_anew(database, master), path is not None)
        with database.erasing():
            pass  # the old ones lie in the gaps of pages still
    finally:
        database.close()
    if path is not None:
        keep_first_key(path)
    return rotated
