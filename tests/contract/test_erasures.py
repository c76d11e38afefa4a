"""The log of erasures: whatever copy of the database is put back, the erased stay away, and nobody else goes with them."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.adapters.erasure_file import ERASURE_FILE, LINE_BYTES, Erasure, ErasureFile
from app.errors import SpeakerNotFound, StoreError
from app.records import DEFAULT_TENANT as ME
from kept_stores import has, kept_store
from model.errors import VouchError
from samples import create, enroll
from sqlite_files import sqlite

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def erasure(number: int) -> Erasure:
    return Erasure(f"{number:064x}", NOW)


def test_an_erasure_is_in_the_database_and_beside_it(tmp_path: Path) -> None:
    with kept_store(tmp_path) as store:
        create(store, "alice", "bob")
        taken_back = enroll(store, "bob", 1, 2).enrollments[0].enrollment_id
        store.erase_speaker(ME, "alice")
        store.remove_enrollment(ME, "bob", taken_back)
    in_table = {mark for (mark,) in sqlite(tmp_path / "vouch.db", "SELECT mark FROM erasures")}
    assert len(in_table) == 2
    assert set(ErasureFile(tmp_path / ERASURE_FILE).read()) == in_table
    assert (tmp_path / ERASURE_FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / ERASURE_FILE).stat().st_size == 2 * LINE_BYTES
    for told in (b"alice", b"bob", taken_back.encode()):
        assert told not in (tmp_path / ERASURE_FILE).read_bytes()


def test_a_refused_erasure_leaves_no_mark(tmp_path: Path) -> None:
    with kept_store(tmp_path) as store:
        create(store, "bob")
        with pytest.raises(SpeakerNotFound):
            store.erase_speaker(ME, "alice")
        with pytest.raises(VouchError):
            store.remove_enrollment(ME, "bob", "none")
    assert ErasureFile(tmp_path / ERASURE_FILE).read() == {}
    assert sqlite(tmp_path / "vouch.db", "SELECT * FROM erasures") == []


def test_an_old_copy_put_back_by_hand_is_swept_at_the_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with kept_store(tmp_path) as store:
        create(store, "alice", "bob", "carol")
        enroll(store, "alice", 1)
        clips = enroll(store, "bob", 2, 3).enrollments
    shutil.copyfile(tmp_path / "vouch.db", tmp_path / "copy")
    with kept_store(tmp_path) as store:
        store.erase_speaker(ME, "alice")
        store.remove_enrollment(ME, "bob", clips[0].enrollment_id)
    shutil.copyfile(tmp_path / "copy", tmp_path / "vouch.db")

    with kept_store(tmp_path) as store:
        assert [has(store, name) for name in ("alice", "bob", "carol")] == [False, True, True]
        assert [clip.enrollment_id for clip in store.list_enrollments(ME, "bob")] == [clips[1].enrollment_id]
    assert "the database lacked 2 erasures" in caplog.text
    assert sqlite(tmp_path / "vouch.db", "SELECT count(*) FROM erasures") == [(2,)]
    assert sqlite(tmp_path / "vouch.db", "PRAGMA user_version") == [(0,)]


def test_who_comes_back_under_an_erased_id_or_number_is_somebody_else(tmp_path: Path) -> None:
    with kept_store(tmp_path) as store:
        create(store, "carol")
    shutil.copyfile(tmp_path / "vouch.db", tmp_path / "copy")
    with kept_store(tmp_path) as store:
        create(store, "alice")
        number = store.erase_speaker(ME, "alice")
    shutil.copyfile(tmp_path / "copy", tmp_path / "vouch.db")
    with kept_store(tmp_path) as store:
        create(store, "alice")
        assert store.get_speaker(ME, "alice").number == number
    for kept in ("with the table", "without"):
        if kept == "without":
            sqlite(tmp_path / "vouch.db", "DELETE FROM erasures")
        with kept_store(tmp_path) as store:
            assert has(store, "alice"), kept


def test_what_a_kill_kept_from_the_file_is_written_at_the_next_start(tmp_path: Path) -> None:
    with kept_store(tmp_path) as store:
        create(store, "alice", "bob")
        store.erase_speaker(ME, "alice")
        store.erase_speaker(ME, "bob")
    file = ErasureFile(tmp_path / ERASURE_FILE)
    marks = set(file.read())
    # Killed between the commit and the line, with its room made; and cut off in the middle of making it.
    file.path.write_bytes(file.path.read_bytes()[:LINE_BYTES] + b" " * (LINE_BYTES - 1) + b"\n" + b"   ")
    assert len(file.read()) == 1
    with kept_store(tmp_path):
        assert set(file.read()) == marks
    file.path.unlink()
    with kept_store(tmp_path):
        assert set(file.read()) == marks


def test_without_room_in_the_log_nobody_is_erased(tmp_path: Path) -> None:
    with kept_store(tmp_path) as store:
        create(store, "alice")
        (tmp_path / ERASURE_FILE).mkdir()
        with pytest.raises(StoreError, match=r"erasure log .*erasures\.log cannot be written"):
            store.erase_speaker(ME, "alice")
        assert has(store, "alice")
        (tmp_path / ERASURE_FILE).rmdir()
        store.erase_speaker(ME, "alice")
        assert not has(store, "alice")
    assert len(ErasureFile(tmp_path / ERASURE_FILE).read()) == 1


def test_a_log_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / ERASURE_FILE).mkdir()
    with pytest.raises(StoreError, match="cannot be read"), kept_store(tmp_path):
        pass


def test_lines_come_back_and_a_damaged_one_spoils_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = ErasureFile(tmp_path / ERASURE_FILE)
    assert file.read() == {}
    file.append(map(erasure, range(3)))
    file.fill(file.reserve(), erasure(3))
    assert file.read() == {erasure(n).mark: erasure(n) for n in range(4)}
    assert not caplog.records
    whole = file.path.read_bytes()
    for place in range(LINE_BYTES, 2 * LINE_BYTES):
        file.path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert set(file.read()) == {erasure(n).mark for n in (0, 2, 3)}
    assert "1 damaged lines" in caplog.text
    for n_bytes in range(3 * LINE_BYTES, 4 * LINE_BYTES):
        file.path.write_bytes(whole[:n_bytes])
        file.append([erasure(4)])
        assert set(file.read()) == {erasure(n).mark for n in (0, 1, 2, 4)}
