"""Fingerprints in every SpeakerStore: known at once, bounded, and gone with whom and what they are of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from app.adapters.backup import back_up
from app.adapters.database import open_database
from app.adapters.postgres import PostgresLimits
from app.adapters.restore import restore
from app.adapters.sealing import Sealer
from app.adapters.sql_fingerprints import SqlFingerprints
from app.adapters.sql_store import SqlSpeakerStore
from app.errors import SpeakerNotFound, StoreError
from app.ports import SpeakerStore
from app.records import DEFAULT_TENANT as ME
from app.settings import Settings
from contention import locked
from fakes import FakeSpeakerStore
from kept_stores import has, kept_store
from model.fingerprint import Fingerprint
from postgres_files import executed
from samples import ENCODER_ID, MASTER, TickingClock, create, new_enrollment
from sqlite_files import sqlite

N_KEPT = 3


def words(seed: int, n_words: int = 20) -> Fingerprint:
    return np.random.default_rng(seed).integers(1, 2**32, n_words, dtype=np.uint32)


def enroll(store: SpeakerStore, speaker_id: str, *seeds: int, tenant: str = ME) -> list[str]:
    clips = [replace(new_enrollment(seed), fingerprint=words(seed)) for seed in seeds]
    added = store.add_enrollments(tenant, speaker_id, ENCODER_ID, clips)
    return [enrollment.enrollment_id for enrollment in added.enrollments]


def number(store: SpeakerStore, speaker_id: str, tenant: str = ME) -> int:
    return store.get_speaker(tenant, speaker_id).number


def known(store: SpeakerStore, speaker_id: str, tenant: str = ME) -> list[list[int]]:
    return [found.tolist() for found in store.fingerprints.of_speaker(number(store, speaker_id, tenant))]


def of(*seeds: int) -> list[list[int]]:
    return [words(seed).tolist() for seed in seeds]


def at(url: str, n_kept: int = N_KEPT) -> SqlSpeakerStore:
    database = open_database(url, MASTER)
    return SqlSpeakerStore(database, Sealer(MASTER), n_kept_fingerprints=n_kept, clock=TickingClock())


def on_disk(path: Path, n_kept: int = N_KEPT) -> SqlSpeakerStore:
    return at(f"sqlite:///{path}", n_kept)


def n_rows(path: Path) -> int:
    ((count,),) = sqlite(path, "SELECT count(*) FROM fingerprints")
    return int(count)


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def kind(request: pytest.FixtureRequest, path: Path) -> Callable[[int], SpeakerStore]:
    """Opens an empty one that keeps so many."""
    if request.param == "sqlite":
        return partial(on_disk, path)
    if request.param == "postgres":
        return partial(at, request.getfixturevalue("postgres_store_url"))
    return partial(FakeSpeakerStore, TickingClock())


@pytest.fixture
def bounded(kind: Callable[[int], SpeakerStore]) -> Iterator[SpeakerStore]:
    with closing(kind(N_KEPT)) as store:
        create(store, "alice", "bob")
        create(store, "alice", tenant="neighbour")
        yield store


def test_what_is_enrolled_or_remembered_is_known_at_once_and_of_its_speaker_alone(bounded: SpeakerStore) -> None:
    enroll(bounded, "alice", 1, 2)
    bounded.fingerprints.remember(number(bounded, "alice"), words(3))
    bounded.fingerprints.remember(number(bounded, "bob"), words(4))
    bounded.fingerprints.remember(number(bounded, "alice", "neighbour"), words(5))
    assert known(bounded, "alice") == of(1, 2, 3)
    assert known(bounded, "bob") == of(4)
    assert known(bounded, "alice", "neighbour") == of(5)
    assert bounded.fingerprints.of_speaker(1_000) == ()


def test_an_enrollment_without_one_has_none(bounded: SpeakerStore) -> None:
    bounded.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(1)])
    assert known(bounded, "alice") == []


def test_the_latest_clips_are_kept_and_every_enrollment(bounded: SpeakerStore) -> None:
    for seed in range(10, 20):
        bounded.fingerprints.remember(number(bounded, "alice"), words(seed))
        if seed in (12, 15):
            enroll(bounded, "alice", 100 + seed)
    assert known(bounded, "alice") == of(112, 115, 17, 18, 19)


def test_an_enrollment_that_is_taken_back_takes_its_own_along(bounded: SpeakerStore) -> None:
    first, _ = enroll(bounded, "alice", 1, 2)
    bounded.fingerprints.remember(number(bounded, "alice"), words(3))
    bounded.remove_enrollment(ME, "alice", first)
    assert known(bounded, "alice") == of(2, 3)


def test_nothing_is_left_of_somebody_erased_nor_comes_later(bounded: SpeakerStore) -> None:
    gone = number(bounded, "alice")
    enroll(bounded, "alice", 1)
    bounded.fingerprints.remember(gone, words(2))
    bounded.erase_speaker(ME, "alice")
    assert bounded.fingerprints.of_speaker(gone) == ()
    create(bounded, "alice")
    assert known(bounded, "alice") == []
    with pytest.raises(SpeakerNotFound):
        bounded.get_speaker(ME, "nobody")


def test_with_none_to_keep_nothing_is_known(kind: Callable[[int], SpeakerStore]) -> None:
    with closing(kind(0)) as store:
        create(store, "alice")
        enroll(store, "alice", 1)
        store.fingerprints.remember(number(store, "alice"), words(2))
        assert known(store, "alice") == []


# Where processes share the database


def test_what_one_process_heard_another_one_knows_at_once(postgres_store_url: str) -> None:
    with closing(at(postgres_store_url)) as here, closing(at(postgres_store_url)) as there:
        create(here, "alice", "bob")
        enroll(here, "alice", 1)
        for seed, store in ((2, here), (3, there), (4, here), (5, there)):
            store.fingerprints.remember(number(store, "alice"), words(seed))
            assert known(here, "alice") == known(there, "alice")
        assert known(there, "alice") == of(1, 3, 4, 5)
        assert known(there, "bob") == []


def test_what_one_process_heard_goes_with_whom_another_erases(postgres_store_url: str) -> None:
    with closing(at(postgres_store_url)) as here, closing(at(postgres_store_url)) as there:
        create(here, "alice")
        gone = number(here, "alice")
        here.fingerprints.remember(gone, words(1))
        there.erase_speaker(ME, "alice")
        here.fingerprints.remember(gone, words(2))
        assert here.fingerprints.of_speaker(gone) == there.fingerprints.of_speaker(gone) == ()
    assert executed(postgres_store_url, "SELECT count(*) FROM fingerprints") == [(0,)]


def test_what_the_database_does_not_take_waits(postgres_store_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with closing(at(postgres_store_url)) as store:
        create(store, "alice")
        database = open_database(postgres_store_url, MASTER, PostgresLimits(timeout_s=0.2))
        hasty = SqlFingerprints(database, Sealer(MASTER), N_KEPT, TickingClock())
        alice = number(store, "alice")
        with locked(postgres_store_url, "SELECT FROM speakers FOR UPDATE"):
            hasty.remember(alice, words(1))
            assert [one.tolist() for one in hasty.of_speaker(alice)] == of(1)
        assert "could not be written, and waits" in caplog.text
        hasty.close()
        database.close()
        assert known(store, "alice") == of(1)


# On disk


def test_a_restart_knows_what_was_known(path: Path) -> None:
    with closing(on_disk(path)) as store:
        create(store, "alice")
        enroll(store, "alice", 1)
        for seed in range(2, 9):
            store.fingerprints.remember(number(store, "alice"), words(seed))
        before = known(store, "alice")
    assert n_rows(path) == 1 + N_KEPT
    with closing(on_disk(path)) as store:
        assert known(store, "alice") == before == of(1, 6, 7, 8)
    with closing(on_disk(path, n_kept=1)) as store:
        assert known(store, "alice") == of(1, 8)


def test_none_lies_open_in_the_file(path: Path) -> None:
    with closing(on_disk(path)) as store:
        create(store, "alice")
        enroll(store, "alice", 1)
        store.fingerprints.remember(number(store, "alice"), words(2))
    stored = path.read_bytes()
    for seed in (1, 2):
        plain = words(seed)
        for chunk in (plain[:2], plain[8:10], plain[-2:]):
            assert chunk.astype("<u4").tobytes() not in stored
            assert chunk.astype(">u4").tobytes() not in stored


@pytest.mark.parametrize("change", ["speaker_seq = 2", "sealed = zeroblob(108)", "sealed = x''"])
def test_one_that_is_not_its_speakers_or_damaged_is_left_out(
    path: Path, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(on_disk(path)) as store:
        create(store, "alice", "bob")
        enroll(store, "alice", 1)
        enroll(store, "bob", 2)
    sqlite(path, f"UPDATE fingerprints SET {change} WHERE seq = 1")
    with closing(on_disk(path)) as store:
        assert known(store, "alice") == []
        assert known(store, "bob") == of(2)
    assert "fingerprint 1 is left out: A stored embedding or fingerprint is damaged" in caplog.text


def test_what_is_written_late_brings_nobody_back(path: Path) -> None:
    with closing(on_disk(path)) as store:
        create(store, "alice", "bob")
        gone = number(store, "alice")
        store.fingerprints.remember(gone, words(1))
        store.erase_speaker(ME, "alice")
        create(store, "alice")
        # As a verification does that had begun before the erasure.
        store.fingerprints.remember(gone, words(2))
        store.fingerprints.remember(number(store, "bob"), words(3))
    assert sqlite(path, "SELECT speaker_seq FROM fingerprints") == [(2,)]
    with closing(on_disk(path)) as store:
        assert known(store, "alice") == []
        assert not any(store.fingerprints.of_speaker(gone))


def test_erasing_and_writing_at_once_leaves_the_present_with_theirs_and_nobody_else(path: Path) -> None:
    names = [f"speaker {n}" for n in range(12)]
    with closing(on_disk(path)) as store:
        create(store, *names)
        numbers = {name: number(store, name) for name in names}

        def verify(name: str) -> None:
            for seed in range(20):
                store.fingerprints.remember(numbers[name], words(seed))

        def erase(name: str) -> None:
            store.erase_speaker(ME, name)

        with ThreadPoolExecutor(6) as threads:
            done = [threads.submit(verify, name) for name in names]
            done += [threads.submit(erase, name) for name in names[::2]]
            done += [threads.submit(store.fingerprints.write_now) for _ in range(4)]
            done += [threads.submit(verify, name) for name in names]
            for one in done:
                one.result()
    present = {numbers[name] for name in names[1::2]}
    rows = sqlite(path, "SELECT speaker_seq, count(*) FROM fingerprints GROUP BY speaker_seq")
    assert dict(rows) == dict.fromkeys(present, N_KEPT)


def test_those_of_an_old_copy_are_swept_with_their_speaker_and_enrollment(tmp_path: Path) -> None:
    with kept_store(tmp_path) as store:
        create(store, "alice", "bob")
        enroll(store, "alice", 1)
        taken_back, _ = enroll(store, "bob", 2, 3)
    copy = (tmp_path / "vouch.db").read_bytes()
    with kept_store(tmp_path) as store:
        store.erase_speaker(ME, "alice")
        store.remove_enrollment(ME, "bob", taken_back)
    (tmp_path / "vouch.db").write_bytes(copy)
    with kept_store(tmp_path) as store:
        assert not has(store, "alice")
        assert known(store, "bob") == of(3)
    assert n_rows(tmp_path / "vouch.db") == 1


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """Of alice and bob; alice was erased since."""
    with kept_store(tmp_path / "data") as store:
        create(store, "alice", "bob")
        enroll(store, "alice", 1)
        enroll(store, "bob", 2)
        back_up(tmp_path / "data" / "vouch.db", tmp_path / "backup.db")
        store.erase_speaker(ME, "alice")
    return tmp_path / "backup.db"


def test_a_restore_brings_those_of_the_present_back(backup: Path, tmp_path: Path) -> None:
    restore(backup, Settings(data_dir=tmp_path / "data"))
    with kept_store(tmp_path / "data") as store:
        assert known(store, "bob") == of(2)
    assert n_rows(tmp_path / "data" / "vouch.db") == 1


@pytest.mark.parametrize(
    ("sealed", "refusal"),
    [("x'00'", "no fingerprint in its row 2"), ("zeroblob(108)", "embedding or fingerprint is damaged")],
)
def test_a_backup_with_a_damaged_one_is_not_restored(backup: Path, tmp_path: Path, sealed: str, refusal: str) -> None:
    sqlite(backup, f"UPDATE fingerprints SET sealed = {sealed} WHERE seq = 2")
    with pytest.raises(StoreError, match=refusal):
        restore(backup, Settings(data_dir=tmp_path / "data"))


def test_switching_them_off_removes_them(path: Path) -> None:
    with closing(on_disk(path)) as store:
        create(store, "alice")
        enroll(store, "alice", 1)
        store.fingerprints.remember(number(store, "alice"), words(2))
    with closing(on_disk(path, n_kept=0)) as store:
        store.fingerprints.remove_all()
        store.fingerprints.remove_all()
        assert has(store, "alice")
    assert n_rows(path) == 0
