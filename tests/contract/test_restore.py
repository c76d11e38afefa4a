"""A restore: what was saved is there, who was erased since is not, and whatever is wrong leaves all as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.adapters.backup import back_up
from app.adapters.erasure_file import ERASURE_FILE, ErasureFile
from app.adapters.restore import restore
from app.errors import SettingsError, StoreError
from app.records import DEFAULT_TENANT as ME
from app.settings import Settings
from kept_stores import has, kept_store
from samples import create, enroll, new_enrollment
from sqlite_files import sqlite


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Alice, bob and carol are in the backup; bob was erased since, alice gave a clip and took one back, dave came."""
    folder = tmp_path / "data"
    with kept_store(folder) as store:
        create(store, "alice", "bob", "carol")
        first = enroll(store, "alice", 1, 2).enrollments[0].enrollment_id
        enroll(store, "bob", 3)
        back_up(folder / "vouch.db", tmp_path / "backup.db")
        store.erase_speaker(ME, "bob")
        store.remove_enrollment(ME, "alice", first)
        enroll(store, "alice", 4)
        create(store, "dave")
    return folder


def check_restored(folder: Path) -> None:
    with kept_store(folder) as store:
        assert [has(store, name) for name in ("alice", "bob", "carol", "dave")] == [True, False, True, False]
        assert len(store.list_enrollments(ME, "alice")) == 1
    erased = new_enrollment(3).embedding.astype("<f4").tobytes()
    assert not [path.name for path in folder.iterdir() if erased in path.read_bytes()]
    assert sqlite(folder / "vouch.db", "SELECT count(*) FROM erasures") == [(2,)]
    assert len(ErasureFile(folder / ERASURE_FILE).read()) == 2


def test_a_restore_brings_back_the_saved_but_not_the_erased(data: Path, tmp_path: Path) -> None:
    done = restore(tmp_path / "backup.db", Settings(data_dir=data))
    assert (done.n_swept, done.has_read_former) == (2, True)
    assert (done.checked.n_speakers, done.checked.n_enrollments) == (2, 1)
    check_restored(data)
    kept = data / "vouch.db.before-restore"
    assert done.former == kept
    assert kept.stat().st_mode & 0o777 == (data / "vouch.db").stat().st_mode & 0o777 == 0o600
    assert sqlite(kept, "SELECT speaker_id FROM speakers") == [("alice",), ("carol",), ("dave",)]
    assert {path.name for path in data.iterdir()} == {
        "vouch.db",
        "vouch.db.lock",
        "vouch.db.before-restore",
        "master.key",
        ERASURE_FILE,
    }


def test_an_earlier_replaced_database_is_not_replaced_itself(data: Path, tmp_path: Path) -> None:
    restore(tmp_path / "backup.db", Settings(data_dir=data))
    before = (data / "vouch.db.before-restore").read_bytes()
    with pytest.raises(StoreError, match="is still there, from an earlier restore"):
        restore(tmp_path / "backup.db", Settings(data_dir=data))
    done = restore(tmp_path / "backup.db", Settings(data_dir=data), keeps_former=False)
    assert done.former is None
    assert (data / "vouch.db.before-restore").read_bytes() == before
    check_restored(data)


@pytest.mark.parametrize("lost", ["log", "database", "database damaged"])
def test_either_the_database_or_the_log_beside_it_tells_who_was_erased(data: Path, tmp_path: Path, lost: str) -> None:
    if lost == "log":
        (data / ERASURE_FILE).unlink()
    elif lost == "database":
        (data / "vouch.db").unlink()
    else:
        (data / "vouch.db").write_bytes(b"the wages of haste " * 1000)
        (data / "vouch.db-journal").write_bytes(b"of whatever it was")
    done = restore(tmp_path / "backup.db", Settings(data_dir=data))
    assert done.n_swept == 2
    assert done.has_read_former == (lost != "database damaged")
    assert not (data / "vouch.db-journal").exists()
    check_restored(data)


def test_on_a_new_machine_the_backup_the_key_and_the_log_are_enough(data: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    new.mkdir()
    shutil.copy(data / "master.key", new)
    shutil.copy(data / ERASURE_FILE, new)
    assert restore(tmp_path / "backup.db", Settings(data_dir=new)).former is None
    check_restored(new)


def test_without_its_master_key_a_backup_is_refused_and_nothing_is_changed(data: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(SettingsError, match="master key"):
        restore(tmp_path / "backup.db", Settings(data_dir=new))
    assert {path.name for path in new.iterdir()} == {"vouch.db.lock"}


def test_refusals_leave_the_database_as_it_was(data: Path, tmp_path: Path) -> None:
    settings, backup = Settings(data_dir=data), tmp_path / "backup.db"
    before = (data / "vouch.db").read_bytes()
    with kept_store(data), pytest.raises(StoreError, match="is already open in process"):
        restore(backup, settings)
    with pytest.raises(StoreError, match="the database itself"):
        restore(data / "vouch.db", settings)
    with pytest.raises(StoreError, match="There is no backup at"):
        restore(tmp_path / "nowhere", settings)
    whole = backup.read_bytes()
    backup.write_bytes(whole[:5000])
    with pytest.raises(StoreError, match=r"damaged|no sound"):
        restore(backup, settings)
    backup.write_bytes(whole)
    sqlite(backup, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer release"):
        restore(backup, settings)
    assert (data / "vouch.db").read_bytes() == before
    assert not (data / "vouch.db.before-restore").exists()


def test_a_copy_of_an_older_release_is_swept_by_what_the_present_database_knows(data: Path, tmp_path: Path) -> None:
    """Schema 0001 had neither secrets nor a log."""
    backup, settings = tmp_path / "backup.db", Settings(data_dir=data)
    plain = new_enrollment(1).embedding.tobytes().hex()
    sqlite(
        backup,
        *(f"DROP TABLE {name}" for name in ("secrets", "erasures", "idempotency", "api_keys", "fingerprints")),
        f"UPDATE enrollments SET embedding = x'{plain}'",
        "ALTER TABLE speakers DROP COLUMN data_key",
        "DROP INDEX ix_speakers_consent_expires_at",
        "ALTER TABLE speakers DROP COLUMN consent_expires_at",
        "CREATE TABLE idempotency (tenant, key, fingerprint, speaker_id, enrollment_ids, created_at)",
        "UPDATE alembic_version SET version_num = '0001'",
    )
    database = (data / "vouch.db").read_bytes()
    (data / "vouch.db").unlink()
    with pytest.raises(StoreError, match=r"move .* away"):
        restore(backup, settings)
    (data / "vouch.db").write_bytes(database)
    assert restore(backup, settings).n_swept == 2
    check_restored(data)


def test_api_keys_are_as_the_present_database_has_them(data: Path, tmp_path: Path) -> None:
    """One was revoked since the backup, and one made."""
    row = "INSERT INTO api_keys (key_id, name, tenant, scopes, digest, created_at, revoked_at) VALUES "
    old, new = (
        "('old', 'o', 't', '[]', x'00', '2026-01-01', {})",
        "('new', 'n', 't', '[]', x'01', '2026-02-01', NULL)",
    )
    sqlite(tmp_path / "backup.db", row + old.format("NULL"))
    sqlite(data / "vouch.db", row + new, row + old.format("'2026-03-01'"))
    restore(tmp_path / "backup.db", Settings(data_dir=data))
    found = sqlite(data / "vouch.db", "SELECT key_id, revoked_at FROM api_keys ORDER BY key_id")
    assert [(key, revoked is not None) for key, revoked in found] == [("new", False), ("old", True)]
    check_restored(data)
