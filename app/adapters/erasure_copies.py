"""What was erased, carried out of a database, and into an older copy of it: for PostgreSQL, beside which no log lies."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete

from app.adapters.database import Database, is_sealed, open_database
from app.adapters.engine import make_engine, parse_url
from app.adapters.erasure_file import Erasure, ErasureFile
from app.adapters.erasures import merge_erasures, read_erasures, sweep
from app.adapters.master_key import MasterKey
from app.adapters.postgres_tables import deployment, reference_changes
from app.adapters.sql_secrets import Secrets, open_master_key, open_secrets, read_secrets
from app.errors import StoreError
from app.settings import Settings


@dataclass(frozen=True)
class Exported:
    n_erasures: int
    """In the file now."""
    n_new: int


@dataclass(frozen=True)
class Applied:
    n_erasures: int
    """In the source."""
    n_new: int
    """That this database did not know of."""
    n_swept: int
    """Speakers and enrollments that had come back."""


def export_erasures(settings: Settings, target: Path) -> Exported:
    """Adds to a file what it does not hold, beside running services; nothing is ever taken out of it. Raises StoreError."""
    _require_database(settings)
    file = ErasureFile(target)
    in_file, in_table = file.read(), _of_database(settings.store_url)
    new = [erasure for mark, erasure in in_table.items() if mark not in in_file]
    file.append(new)
    return Exported(len(in_file) + len(new), len(new))


def apply_erasures(settings: Settings, source: str) -> Applied:
    """Erases again whoever the source says was erased: a file that was exported, or the URL of the database as it was before.

    No service may use the database meanwhile. Raises StoreError, SettingsError.
    """
    _require_database(settings)
    master = open_master_key(settings, may_make=False)
    with closing(open_database(settings.store_url, master)) as database:
        secrets = open_secrets(database, master)
        known = _of_source(source, master, secrets)
        with database.erasing() as connection:
            in_table = read_erasures(connection)
            n_swept = sweep(connection, [secrets.speaker_ids], known)
            new = [erasure for mark, erasure in known.items() if mark not in in_table]
            merge_erasures(connection, new)
            if not database.is_file:
                # Replicas begin anew: what they had agreed on, and told each other, is of the former database.
                connection.execute(delete(reference_changes))
                connection.execute(delete(deployment))
    return Applied(len(known), len(new), n_swept)


def _of_source(source: str, master: MasterKey, secrets: Secrets) -> dict[str, Erasure]:
    if "://" in source:
        if read_secrets(source, master) != secrets:
            raise StoreError("The source is the database of another service, whose erasures mean nobody in this one.")
        return _of_database(source)
    path = Path(source)
    if not path.is_file():
        raise StoreError(f"There is no file {path}. Name one that `vouch erasures export` wrote, or a database URL.")
    return ErasureFile(path).read()


def _of_database(database_url: str) -> dict[str, Erasure]:
    with closing(Database(make_engine(parse_url(database_url)))) as database, database.reading() as connection:
        return read_erasures(connection)


def _require_database(settings: Settings) -> None:
    if not is_sealed(settings.store_url):
        raise StoreError("There is no database yet: VOUCH_DATABASE_URL or VOUCH_DATA_DIR says where it is looked for.")
