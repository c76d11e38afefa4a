"""Backups: whole or not at all, beside a service that writes; and what comes back from one."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from app.adapters.backup import back_up, check_database, database_file
from app.adapters.sql_store import SqlSpeakerStore
from app.errors import StoreError
from app.records import DEFAULT_TENANT as ME
from kept_stores import kept_store
from samples import create, enroll
from sqlite_files import sqlite

N_WHILE_WRITING = 12


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory in which alice and bob are, and carol was."""
    folder = tmp_path / "data"
    with kept_store(folder) as store:
        create(store, "alice", "bob", "carol")
        enroll(store, "alice", 1, 2)
        enroll(store, "carol", 3)
        store.erase_speaker(ME, "carol")
    return folder


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_backup_is_a_plain_file_that_its_owner_alone_may_read(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "backups" / "a b%20?.db"
    target.parent.mkdir()
    with kept_store(data):  # while a service owns the database
        done = back_up(data / "vouch.db", target)
    assert (done.checked.n_speakers, done.checked.n_enrollments, done.checked.n_erasures) == (2, 2, 1)
    assert done.n_bytes == target.stat().st_size
    assert target.stat().st_mode & 0o777 == 0o600
    assert names(target.parent) == {target.name}
    assert check_database(target) == done.checked
    assert sqlite(target, "SELECT speaker_id FROM speakers ORDER BY seq") == [("alice",), ("bob",)]


def test_what_is_there_is_replaced_when_told_and_the_database_never(data: Path, tmp_path: Path) -> None:
    target, database = tmp_path / "backup.db", data / "vouch.db"
    target.write_text("an older one")
    with pytest.raises(StoreError, match="is there already"):
        back_up(database, target)
    assert target.read_text() == "an older one"
    back_up(database, target, may_replace=True)
    check_database(target)
    with pytest.raises(StoreError, match="is there already"):
        back_up(database, database, may_replace=True)
    with pytest.raises(StoreError, match="There is no database at"):
        back_up(tmp_path / "nowhere.db", tmp_path / "other")


def test_a_failed_backup_leaves_nothing(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    sqlite(data / "vouch.db", "UPDATE enrollments SET embedding = substr(embedding, 2) WHERE seq = 2")
    with pytest.raises(StoreError, match="no embedding in its enrollment 2"):
        back_up(data / "vouch.db", target)
    with pytest.raises(StoreError, match=r"cannot be written \(No such file"):
        back_up(data / "vouch.db", tmp_path / "nowhere" / "backup.db")
    assert names(tmp_path) == {"data"}


def test_what_a_killed_backup_left_is_in_nobodys_way(data: Path, tmp_path: Path) -> None:
    (tmp_path / "backup.db.part").write_bytes(b"half of it")
    back_up(data / "vouch.db", tmp_path / "backup.db")
    assert names(tmp_path) == {"data", "backup.db"}


def test_two_backups_at_once_are_one_too_many(data: Path, tmp_path: Path) -> None:
    number = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(number, fcntl.LOCK_EX)
    with pytest.raises(StoreError, match="Another backup is being written"):
        back_up(data / "vouch.db", tmp_path / "backup.db")
    os.close(number)
    back_up(data / "vouch.db", tmp_path / "backup.db")


def test_stray_bytes_of_an_erasure_that_is_still_owed_do_not_come_along(data: Path, tmp_path: Path) -> None:
    ((stray,),) = sqlite(data / "vouch.db", "SELECT embedding FROM enrollments WHERE seq = 1")
    sqlite(data / "vouch.db", "DELETE FROM enrollments WHERE seq = 1", "PRAGMA user_version=1", secure_delete="OFF")
    assert stray in (data / "vouch.db").read_bytes()
    back_up(data / "vouch.db", tmp_path / "backup.db")
    assert stray not in (tmp_path / "backup.db").read_bytes()
    assert sqlite(tmp_path / "backup.db", "PRAGMA user_version") == [(0,)]


def test_what_a_killed_service_left_half_written_is_not_in_the_backup(data: Path, tmp_path: Path) -> None:
    """A journal that is hot: copied from the side while a transaction spills into the file."""
    killed = tmp_path / "killed"
    killed.mkdir()
    with closing(sqlite3.connect(data / "vouch.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size=1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE speakers SET display_name = 'half' || hex(zeroblob(20000))")
        for name in ("vouch.db", "vouch.db-journal"):
            (killed / name).write_bytes((data / name).read_bytes())
        connection.execute("ROLLBACK")
    assert b"0" * 1000 in (killed / "vouch.db").read_bytes()
    back_up(killed / "vouch.db", tmp_path / "backup.db")
    assert sqlite(tmp_path / "backup.db", "SELECT display_name FROM speakers") == [(None,), (None,)]


def test_the_service_writes_on_while_backups_are_made(data: Path, tmp_path: Path) -> None:
    """Enough pages for several pieces. Each backup holds whole calls of two clips; no write fails."""
    failures: list[BaseException] = []
    stop = threading.Event()

    def write(store: SqlSpeakerStore, name: str) -> None:
        seed = 10
        try:
            while not stop.is_set():
                enroll(store, name, seed, seed + 1)
                seed += 2
        except BaseException as error:
            failures.append(error)

    with kept_store(data) as store:
        create(store, "filler")
        sqlite(
            data / "vouch.db", "UPDATE speakers SET display_name = hex(zeroblob(10000000)) WHERE speaker_id = 'filler'"
        )
        writers = [threading.Thread(target=write, args=(store, name)) for name in ("alice", "bob")]
        for writer in writers:
            writer.start()
        sizes = []
        for number in range(N_WHILE_WRITING):
            target = tmp_path / f"{number}.db"
            sizes.append(back_up(data / "vouch.db", target).checked.n_enrollments)
            target.unlink()
        stop.set()
        for writer in writers:
            writer.join()
        assert failures == []
        assert all(size % 2 == 0 for size in sizes)
        assert sizes == sorted(sizes)
        assert sizes[-1] > sizes[0]


def test_other_files_are_no_backups(data: Path, tmp_path: Path) -> None:
    target = tmp_path / "backup.db"
    back_up(data / "vouch.db", target)
    whole = target.read_bytes()
    sqlite(target, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer release of Vouch"):
        check_database(target)
    for data_of, message in (
        (b"no database " * 100, "no sound database"),
        (b"", "no database of Vouch's"),
        (whole[: len(whole) // 2], "damaged|no sound database"),
    ):
        target.write_bytes(data_of)
        with pytest.raises(StoreError, match=message):
            check_database(target)
    target.write_bytes(whole)
    (tmp_path / "backup.db-journal").write_bytes(b"something")
    with pytest.raises(StoreError, match="a copy of a database in use"):
        check_database(target)
    (tmp_path / "backup.db-journal").unlink()
    sqlite(target, "DELETE FROM speakers WHERE speaker_id = 'alice'")
    with pytest.raises(StoreError, match="speakers that are not in it"):
        check_database(target)


@pytest.mark.parametrize("stored", ["x''", "x'00'", "'text'"])
def test_an_enrollment_without_an_embedding_makes_a_database_unsound(data: Path, stored: str) -> None:
    check_database(data / "vouch.db")
    sqlite(data / "vouch.db", f"UPDATE enrollments SET embedding = {stored}")
    with pytest.raises(StoreError, match=r"has no embedding in its enrollment \d+\. Take another backup\.$"):
        check_database(data / "vouch.db")


@pytest.mark.parametrize("stored", ["x'000000'", "x'00000000'", "x'0000c07f'", "'text'"])
def test_before_embeddings_were_sealed_they_had_to_be_comparable(data: Path, stored: str) -> None:
    """Nothing, nought and NaN have no direction."""
    sqlite(
        data / "vouch.db", "ALTER TABLE speakers DROP COLUMN data_key", "UPDATE enrollments SET embedding = x'0000803f'"
    )
    check_database(data / "vouch.db")
    sqlite(data / "vouch.db", f"UPDATE enrollments SET embedding = {stored}")
    with pytest.raises(StoreError, match="has no embedding in its enrollment"):
        check_database(data / "vouch.db")


def test_pages_that_belong_to_nothing_are_damage(data: Path) -> None:
    sqlite(data / "vouch.db", "DELETE FROM sqlite_master WHERE tbl_name = 'erasures'", writable_schema="ON")
    with pytest.raises(StoreError, match=r"(?s)is damaged: .*Page \d+ is never used\. Take another backup\.$"):
        check_database(data / "vouch.db")


def test_a_database_server_has_tools_of_its_own() -> None:
    with pytest.raises(StoreError, match="pg_dump"):
        database_file("postgresql+psycopg://user:hunter2@host/vouch")
