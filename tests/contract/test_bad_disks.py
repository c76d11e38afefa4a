"""Disks that are full, read-only or worn: a clear refusal, never somebody else's answer."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import event, make_url

import app
from app.adapters.database import Database
from app.adapters.engine import make_engine
from app.adapters.sealing import Sealer
from app.adapters.sql_store import SqlSpeakerStore
from app.errors import SettingsError, StoreError
from app.ports import SpeakerStore
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency
from kept_stores import has, kept_store
from samples import ENCODER_ID, MASTER, create, enroll, new_enrollment
from sqlite_files import opened, sqlite

ROOT = Path(app.__file__).parents[1]
N_SPEAKERS = 6
N_PLACES = 100
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 24, 1, 2

# Opens the store as a start does, says what it has, and makes a speaker by the name that it is given.
USE = """
import sys
from pathlib import Path
from app.errors import StoreError
from kept_stores import kept_store
try:
    with kept_store(Path(sys.argv[1])) as store:
        print(store.count_speakers())
        store.create_speaker("default", sys.argv[2], None, {}, None)
except StoreError as error:
    print(error)
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with some speakers of two clips each, and one who was erased."""
    folder = tmp_path / "data"
    with kept_store(folder) as store:
        for n in range(N_SPEAKERS):
            store.create_speaker(ME, f"id-{n}", None, {}, None)
            clips = [new_enrollment(2 * n), new_enrollment(2 * n + 1)]
            store.add_enrollments(ME, f"id-{n}", ENCODER_ID, clips, Idempotency(f"key-{n}", "print"))
        create(store, "erased")
        store.erase_speaker(ME, "erased")
    return folder


def who_is_there(store: SpeakerStore) -> dict[str, list[str]]:
    """Found by the list, by the id and in the references, with their enrollments."""
    listed = store.list_speakers(ME, 100, None).speakers
    found = {
        one.speaker_id: [clip.enrollment_id for clip in store.list_enrollments(ME, one.speaker_id)] for one in listed
    }
    assert {name for name in [*(f"id-{n}" for n in range(N_SPEAKERS)), "erased"] if has(store, name)} == set(found)
    for name in found:
        assert store.find_reference(ME, name) is not None
    numbers = [number for batch in store.references() for number in batch.numbers.tolist()]
    assert numbers == [one.number for one in listed]
    return found


# Full


@pytest.fixture
def full(path: Path) -> Iterator[tuple[SqlSpeakerStore, dict[str, int]]]:
    """A store whose file may not grow past `room["pages"]`."""
    opened(path).close()
    engine = make_engine(make_url(f"sqlite:///{path}"))
    room = {"pages": 10**6}

    @event.listens_for(engine, "begin")
    def limit(connection: object) -> None:
        cursor = connection.connection.cursor()  # type: ignore[attr-defined]
        cursor.execute(f"PRAGMA max_page_count={room['pages']}")
        cursor.close()

    store = SqlSpeakerStore(Database(engine), Sealer(MASTER))
    yield store, room
    store.close()


def test_a_full_disk_refuses_whole_calls_and_lets_go_on(
    full: tuple[SqlSpeakerStore, dict[str, int]], path: Path
) -> None:
    store, room = full
    create(store, "alice", "bob")
    enroll(store, "bob", 1)
    room["pages"] = 1  # that is: no more than there are
    clips = [new_enrollment(seed, n_embedding=448) for seed in range(8)]
    with pytest.raises(StoreError, match=r"is full\. Free some space and try again"):
        store.add_enrollments(ME, "alice", ENCODER_ID, clips, Idempotency("key", "print"))
    assert store.list_enrollments(ME, "alice") == ()
    assert store.replayed_enrollments(ME, "alice", Idempotency("key", "print")) is None
    assert store.get_speaker(ME, "bob").enrollment_count == 1
    store.erase_speaker(ME, "bob")  # which frees some
    assert not has(store, "bob")
    room["pages"] = 10**6
    store.add_enrollments(ME, "alice", ENCODER_ID, clips, Idempotency("key", "print"))
    assert store.get_speaker(ME, "alice").enrollment_count == len(clips)
    assert sqlite(path, "PRAGMA integrity_check") == [("ok",)]


# Read-only


def obey_permissions() -> None:
    """The superuser may write to what is read-only, unless it gives that up."""
    libc = ctypes.CDLL(None)
    for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def use(folder: Path, name: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", USE, str(folder), name],
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        preexec_fn=obey_permissions,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform != "linux", reason="the superuser keeps its rights elsewhere")
def test_what_is_read_only_is_named(data: Path) -> None:
    cases = {
        "folder": ({data: 0o500}, "data cannot be written, and the journal goes there"),
        "database": ({data / "vouch.db": 0o400}, "vouch.db cannot be written (Permission denied)"),
        "lock": ({data / "vouch.db.lock": 0o400}, "lock file"),
        "log": ({data / "erasures.log": 0o000}, "erasures.log cannot be read (Permission denied)"),
    }
    before = (data / "vouch.db").read_bytes()
    for name, (modes, sentence) in cases.items():
        former = {path: path.stat().st_mode & 0o777 for path in modes}
        for path, mode in modes.items():
            path.chmod(mode)
        said = use(data, "nobody")
        for path, mode in former.items():
            path.chmod(mode)
        assert len(said) == 1, name
        assert sentence in said[0], name
        assert (data / "vouch.db").read_bytes() == before, name
    assert use(data, "somebody") == [str(N_SPEAKERS)]
    assert use(data, "somebody else") == [str(N_SPEAKERS + 1)]


# Worn


def test_a_database_cut_off_anywhere_is_refused(data: Path) -> None:
    database = data / "vouch.db"
    sqlite(database, "VACUUM")  # no page is free then, of which a part could be missed without loss
    whole = database.read_bytes()
    places = {0, 1, 99, 100, 4095, 4096, len(whole) - 4096, len(whole) - 1, *range(0, len(whole), len(whole) // 25)}
    for n_bytes in sorted(places):
        database.write_bytes(whole[:n_bytes])
        with pytest.raises(StoreError, match="Restore a backup"), kept_store(data):
            pass
        assert database.read_bytes() == whole[:n_bytes]
    database.write_bytes(whole)
    with kept_store(data) as store:
        assert len(who_is_there(store)) == N_SPEAKERS


def test_a_flipped_bit_hides_nobody_and_brings_up_nobody_else(data: Path, tmp_path: Path) -> None:
    """A flip inside a stored value, such as a name, is beyond what SQLite can notice; who is there, and with what, is not."""
    with kept_store(data) as store:
        expected = who_is_there(store)
    whole = (data / "vouch.db").read_bytes()
    rng = random.Random(1)
    n_refused = 0
    for _ in range(N_PLACES):
        worn = bytearray(whole)
        worn[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        folder = tmp_path / "worn"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(data, folder)
        (folder / "vouch.db").write_bytes(worn)
        try:
            with kept_store(folder) as store, np.errstate(all="ignore"):
                found = who_is_there(store)
        except StoreError:
            n_refused += 1
        else:
            assert found == expected
    assert n_refused > 0


def test_values_that_are_none_are_store_errors(data: Path) -> None:
    for column, value in (
        ("created_at", "'yesterday'"),
        ("created_at", "x'ff'"),
        ("metadata", "'{'"),
        ("metadata", "cast(x'ff' as text)"),
        ("display_name", "cast(x'ff' as text)"),
    ):
        with kept_store(data) as store:
            before = sqlite(data / "vouch.db", f"SELECT hex({column}), {column} FROM speakers WHERE seq = 1")[0][1]
            sqlite(data / "vouch.db", f"UPDATE speakers SET {column} = {value} WHERE seq = 1")
            with pytest.raises(StoreError, match=r"Restore a backup|Check that the database"):
                store.get_speaker(ME, "id-0")
            assert store.get_speaker(ME, "id-1").enrollment_count == 2
            was = "NULL" if before is None else f"'{before}'"
            sqlite(data / "vouch.db", f"UPDATE speakers SET {column} = {was} WHERE seq = 1")


def test_a_master_key_that_is_worn_is_refused_and_not_replaced(data: Path) -> None:
    key = data / "master.key"
    whole = key.read_bytes()
    worn = [whole[:n_bytes] for n_bytes in range(len(whole) - 1)]
    worn += [
        whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :]
        for place in range(0, len(whole) - 3, 3)
        for bit in range(8)
    ]
    for content in worn:
        key.write_bytes(content)
        with pytest.raises((SettingsError, StoreError), match="master key"), kept_store(data):
            pass
        assert key.read_bytes() == content
    key.write_bytes(whole)
    with kept_store(data) as store:
        assert len(who_is_there(store)) == N_SPEAKERS
