"""Erased means gone from every file, not only from the answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.errors import EnrollmentNotFound
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency
from samples import ENCODER_ID, create, enroll, new_enrollment
from sqlite_files import opened, plant, sqlite

NEUTRAL = b"in a gap, and nobody's: goes when the file is rewritten"


def plain(seed: int, n_embedding: int = 16) -> bytes:
    return new_enrollment(seed, n_embedding=n_embedding).embedding.astype("<f4").tobytes()


def stored(path: Path, where: str) -> list[bytes]:
    """Sealed embeddings and sealed keys, as they lie in the file."""
    query = "SELECT e.embedding, s.data_key FROM enrollments e JOIN speakers s USING (tenant, speaker_id) WHERE "
    return [secret for row in sqlite(path, query + where) for secret in row]


def files_with(needle: bytes, folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if needle in file.read_bytes()]


@pytest.mark.parametrize("n_embedding", [16, 192])
def test_erased_voices_are_in_no_file(path: Path, n_embedding: int) -> None:
    store = opened(path)
    seeds = iter(range(1000))
    for n in range(12):
        store.create_speaker(ME, f"id-{n:02}", f"Name-{n:02}", {"note": f"Note-{n:02}"}, {"by": f"Consent-{n:02}"})
        clips = [new_enrollment(next(seeds), n_embedding=n_embedding) for _ in range(3)]
        store.add_enrollments(ME, f"id-{n:02}", ENCODER_ID, clips, Idempotency(f"Key-{n:02}", "print"))
    taken_back = store.list_enrollments(ME, "id-11")[1].enrollment_id
    kept = stored(path, "speaker_id IN ('id-01', 'id-03')")
    gone = stored(path, "CAST(substr(speaker_id, 4) AS INTEGER) IN (0, 2, 4, 6, 8, 10)")
    gone += stored(path, f"enrollment_id = '{taken_back}'")[:1]
    assert len(gone) == 6 * 3 * 2 + 1
    for secret in kept + gone:
        assert files_with(secret, path.parent) == ["vouch.db"]
    store.remove_enrollment(ME, "id-11", taken_back)
    for n in range(0, 11, 2):
        store.erase_speaker(ME, f"id-{n:02}")

    for secret in kept:
        assert files_with(secret, path.parent) == ["vouch.db"]
    for secret in gone:
        for start in range(0, len(secret) - 15, 16):
            assert files_with(secret[start : start + 16], path.parent) == []
    # Nor was any of them ever there unsealed.
    for seed in range(3 * 12):
        voice = plain(seed, n_embedding)
        for start in range(0, len(voice), 16):
            assert files_with(voice[start : start + 16], path.parent) == []
    for text in ("id", "Name", "Note", "Consent", "Key"):
        assert files_with(f"{text}-04".encode(), path.parent) == []
        assert files_with(f"{text}-05".encode(), path.parent) == ["vouch.db"]
    assert files_with(taken_back.encode(), path.parent) == ["vouch.db"], "the key that enrolled it still names it"
    store.close()


def record_of(path: Path, name: str) -> bytes:
    """The beginning of one in the file, as SQLite wrote it: its header, the tenant and this name."""
    found = re.search(rb"(?s).{12}" + re.escape(f"{ME}{name}".encode()) + rb"(?!2)", path.read_bytes())
    assert found is not None
    return found[0]


STRAYS: dict[str, Callable[[Path], bytes]] = {
    "an embedding": lambda path: stored(path, "speaker_id = 'alice'")[0],
    "a piece of one": lambda path: stored(path, "speaker_id = 'alice'")[0][37:56],
    "her key": lambda path: stored(path, "speaker_id = 'alice'")[1],
    "her id in a row": lambda path: record_of(path, "alice"),
    "a key of hers": lambda path: record_of(path, "a request of alice's"),
}


@pytest.mark.parametrize("what", STRAYS)
def test_stray_copies_of_the_erased_are_found_and_wiped(path: Path, what: str) -> None:
    store = opened(path)
    create(store, "alice", "bob", "alice2")
    store.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(1)], Idempotency("a request of alice's", "print"))
    enroll(store, "bob", 2)
    store.close()
    stray, kept = STRAYS[what](path), stored(path, "speaker_id = 'bob'")
    plant(path, stray)
    plant(path, NEUTRAL)

    store = opened(path)
    store.erase_speaker(ME, "alice")
    assert files_with(stray, path.parent) == []
    assert files_with(NEUTRAL, path.parent) == [], "the file was rewritten"
    assert all(files_with(secret, path.parent) == ["vouch.db"] for secret in kept)
    assert sqlite(path, "PRAGMA user_version") == [(0,)]
    store.close()


def test_a_stray_copy_of_a_clip_that_was_taken_back_is_found_and_wiped(path: Path) -> None:
    store = opened(path)
    create(store, "alice")
    clips = enroll(store, "alice", 1, 2).enrollments
    store.close()
    stray, _, kept, _ = stored(path, "TRUE ORDER BY e.seq")
    plant(path, stray)

    store = opened(path)
    store.remove_enrollment(ME, "alice", clips[0].enrollment_id)
    assert files_with(stray, path.parent) == []
    assert files_with(kept, path.parent) == ["vouch.db"]
    store.close()


def test_without_stray_copies_the_file_is_not_rewritten(path: Path) -> None:
    store = opened(path)
    create(store, "alice", "bob", "alice2")
    enroll(store, "alice", 1)
    enroll(store, "bob", 2)
    store.close()
    plant(path, NEUTRAL)
    # Of others than the one who is erased: her id is the beginning of one of them.
    plant(path, stored(path, "speaker_id = 'bob'")[0])
    plant(path, record_of(path, "alice2"))

    store = opened(path)
    store.erase_speaker(ME, "alice")
    assert files_with(NEUTRAL, path.parent) == ["vouch.db"]
    assert sqlite(path, "PRAGMA user_version") == [(0,)]
    store.close()


def test_many_erased_at_once_beside_others_who_write_leave_nothing(path: Path) -> None:
    store = opened(path)
    ids = [f"id-{n}" for n in range(24)]
    create(store, *ids)
    for n, speaker_id in enumerate(ids):
        enroll(store, speaker_id, 2 * n, 2 * n + 1)
    store.close()
    gone = stored(path, "TRUE")
    for stray in gone[::20]:
        plant(path, stray)

    store = opened(path)
    with ThreadPoolExecutor(8) as threads:
        erased = [threads.submit(store.erase_speaker, ME, speaker_id) for speaker_id in ids]
        made = [threads.submit(create, store, f"new-{n}") for n in range(24)]
        for done in erased + made:
            done.result(timeout=60)
    for secret in gone:
        assert files_with(secret, path.parent) == []
    assert store.count_speakers() == 24
    assert sqlite(path, "PRAGMA user_version") == [(0,)]
    assert sqlite(path, "PRAGMA integrity_check") == [("ok",)]
    store.close()


def test_an_erasure_that_is_refused_owes_nothing(path: Path) -> None:
    store = opened(path)
    create(store, "alice")
    enroll(store, "alice", 1)
    with pytest.raises(EnrollmentNotFound):
        store.remove_enrollment(ME, "alice", "none")
    assert sqlite(path, "PRAGMA user_version") == [(0,)]
    store.erase_speaker(ME, "alice")
    assert sqlite(path, "PRAGMA user_version") == [(0,)]
    store.close()


def test_an_erasure_cut_short_is_finished_at_the_next_start(path: Path) -> None:
    store = opened(path)
    create(store, "alice")
    enroll(store, "alice", 1)
    store.close()
    stray = stored(path, "TRUE")[0]
    sqlite(path, "DELETE FROM speakers", "DELETE FROM enrollments", "PRAGMA user_version=1", secure_delete="OFF")
    assert files_with(stray, path.parent) == ["vouch.db"]

    opened(path).close()
    assert files_with(stray, path.parent) == []
    assert sqlite(path, "PRAGMA user_version") == [(0,)]
