"""A backup takes the database's place, without those who were erased since it was made."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, insert, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError

from app.adapters import sql_fingerprints, sql_rows
from app.adapters.backup import Checked, check_database, database_file
from app.adapters.database import Database, is_sealed, migrate
from app.adapters.database_lock import DatabaseLock
from app.adapters.engine import make_engine
from app.adapters.erasure_file import ERASURE_FILE, Erasure, ErasureFile
from app.adapters.erasures import merge_erasures, read_erasures, sweep
from app.adapters.files import sync_file, sync_folder
from app.adapters.sealing import Sealer
from app.adapters.sql_secrets import open_master_key, open_secrets, seal_keys_anew, seal_secrets_anew
from app.adapters.tables import api_keys, enrollments, erasures, secrets
from app.errors import StoreError
from app.settings import Settings
from model.errors import VouchError

SPEAKER_IDS = "speaker_ids"


@dataclass(frozen=True)
class Restored:
    checked: Checked
    """Of the database as it is now."""
    n_swept: int
    """Speakers and enrollments that the backup held and that were erased since."""
    former: Path | None
    """Where the replaced database lies now."""
    has_read_former: bool
    """Whether the erasures that the replaced database knew were told by it; else by the log beside it alone."""


@dataclass(frozen=True)
class _Former:
    """What the present database knows that a backup cannot."""

    erasures: dict[str, Erasure] = field(default_factory=dict)
    sealed: dict[str, bytes] = field(default_factory=dict)
    """Its secrets, by name."""
    keys: Sequence[Mapping[str, Any]] = ()
    """Rows of its API keys: one that was revoked since the backup stays revoked."""
    is_readable: bool = True


def restore(backup: Path, settings: Settings, *, keeps_former: bool = True) -> Restored:
    """Checks the backup, brings it to this release's schema, sweeps it, and puts it in the place of the database.

    A kill at any moment leaves the one or the other there. Raises StoreError; SettingsError without the master key.
    """
    target = database_file(settings.store_url)
    if not backup.is_file():
        raise StoreError(f"There is no backup at {backup}.")
    if target.exists() and target.samefile(backup):
        raise StoreError(f"{backup} is the database itself. Name a backup.")
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = DatabaseLock(target)
    try:
        return _restore(backup, target, settings, keeps_former)
    except OSError as error:
        raise StoreError(f"{backup} cannot be restored to {target} ({error.strerror}).") from error
    finally:
        lock.release()


def _restore(backup: Path, target: Path, settings: Settings, keeps_former: bool) -> Restored:
    kept = target.with_name(target.name + ".before-restore")
    if keeps_former and target.exists() and kept.exists():
        raise StoreError(
            f"{kept} is still there, from an earlier restore. Delete it if nothing of it is needed any more, or move it away."
        )
    check_database(backup)
    former = _read_former(target)
    file = ErasureFile(settings.data_dir / ERASURE_FILE)
    known = file.read() | former.erasures
    new = target.with_name(target.name + ".restoring")
    _remove(new)
    try:
        new.touch(mode=0o600)
        shutil.copyfile(backup, new)
        n_swept = _sweep(new, settings, former, known)
        checked = check_database(new)
        sync_file(new)
        file.append(_unwritten(new, file))
        is_replaced = target.exists()
        _swap(new, target, kept if keeps_former else None)
    finally:
        _remove(new)
    return Restored(checked, n_swept, kept if keeps_former and is_replaced else None, former.is_readable)


def _read_former(target: Path) -> _Former:
    if not target.exists():
        return _Former()
    try:
        # Reading rolls back what a kill left half-written, whose journal must not meet the new file.
        with _opened(target) as connection:
            tables = inspect(connection).get_table_names()
            return _Former(
                erasures=read_erasures(connection) if erasures.name in tables else {},
                sealed={row.name: row.sealed for row in connection.execute(select(secrets))}
                if secrets.name in tables
                else {},
                keys=[dict(row) for row in connection.execute(select(api_keys)).mappings()]
                if api_keys.name in tables
                else [],
            )
    except SQLAlchemyError:
        return _Former(is_readable=False)


@contextmanager
def _opened(path: Path) -> Iterator[Connection]:
    engine = make_engine(_url(path))
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _sweep(new: Path, settings: Settings, former: _Former, known: dict[str, Erasure]) -> int:
    url = _url(new)
    master = open_master_key(settings, may_make=not is_sealed(url.render_as_string(hide_password=False)))
    migrate(url, master)
    with closing(Database(make_engine(_url(new)))) as database:
        with database.writing() as connection:
            own = set(connection.execute(select(secrets.c.name)).scalars())
            # A backup from before there were secrets: those of the present database tell whom its marks mean.
            lacking = {name: sealed for name, sealed in former.sealed.items() if name not in own}
            if lacking:
                connection.execute(insert(secrets), [{"name": n, "sealed": s} for n, s in lacking.items()])
        if known and not own and not lacking:
            raise StoreError(
                "The backup is from before erasures were logged, and the database whose secrets could tell who was erased "
                f"since is gone. To restore it nevertheless, with them, move {settings.data_dir / ERASURE_FILE} away."
            )
        keys = [open_secrets(database, master).speaker_ids, *_former_key(settings, former)]
        # A backup from before the master key was changed: the older key is needed for this once.
        seal_secrets_anew(database, master)
        seal_keys_anew(database, master)
        with database.erasing() as connection:
            n_swept = sweep(connection, keys, known)
            in_backup = read_erasures(connection)
            merge_erasures(connection, (erasure for mark, erasure in known.items() if mark not in in_backup))
            _keep_keys(connection, former.keys)
            _require_openable(connection, Sealer(master))
    return n_swept


def _keep_keys(connection: Connection, keys: Sequence[Mapping[str, Any]]) -> None:
    """Who may ask is not the backup's to say: keys are as the present database has them, those made since included."""
    for key in keys:
        values = {name: value for name, value in key.items() if name != api_keys.c.seq.name}
        known = update(api_keys).where(api_keys.c.key_id == key["key_id"]).values(values)
        if not connection.execute(known).rowcount:
            connection.execute(insert(api_keys).values(values))


def _require_openable(connection: Connection, sealer: Sealer) -> None:
    """Raises StoreError where a speaker's key, embedding or fingerprint is damaged, or was sealed under another master key."""
    for row in connection.execute(sql_rows.reference_query().where(enrollments.c.seq.is_not(None))):
        sealer.of(row.tenant, row.speaker_id, row.data_key).open_bytes(row.embedding, row.encoder_id)
    for row in connection.execute(sql_fingerprints.query()):
        sealer.of(row.tenant, row.speaker_id, row.data_key).open_fingerprint(row.sealed)


def _former_key(settings: Settings, former: _Former) -> list[bytes]:
    if SPEAKER_IDS not in former.sealed:
        return []
    try:
        return [open_master_key(settings, may_make=False).open(former.sealed[SPEAKER_IDS], SPEAKER_IDS.encode())]
    except VouchError:  # sealed under another master key than the backup is: then its marks mean nobody in there
        return []


def _unwritten(new: Path, file: ErasureFile) -> list[Erasure]:
    in_file = file.read()
    with _opened(new) as connection:
        return [erasure for mark, erasure in read_erasures(connection).items() if mark not in in_file]


def _swap(new: Path, target: Path, kept: Path | None) -> None:
    journal = target.with_name(target.name + "-journal")
    if target.exists() and kept is not None:
        if journal.exists():
            os.link(journal, kept.with_name(kept.name + "-journal"))
        os.link(target, kept)
        kept.chmod(0o600)
    # One that is left belongs to a database that could not be read, and would spoil the new one.
    journal.unlink(missing_ok=True)
    new.replace(target)
    sync_folder(target.parent)


def _url(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


def _remove(new: Path) -> None:
    for path in (new, new.with_name(new.name + "-journal")):
        path.unlink(missing_ok=True)
