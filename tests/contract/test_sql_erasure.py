"""Erased means gone from every file, not only from the answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency
from samples import ENCODER_ID, create, enroll, new_enrollment
from sqlite_files import opened, sqlite


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
    written = new_enrollment(0, n_embedding=n_embedding).embedding.astype("<f4").tobytes()
    assert files_with(written, path.parent) == ["vouch.db"]

    taken_back = store.list_enrollments(ME, "id-11")[1].enrollment_id
    store.remove_enrollment(ME, "id-11", taken_back)
    for n in range(0, 11, 2):
        store.erase_speaker(ME, f"id-{n:02}")

    gone = [seed for n in range(0, 11, 2) for seed in range(3 * n, 3 * n + 3)] + [3 * 11 + 1]
    for seed in gone:
        stored = new_enrollment(seed, n_embedding=n_embedding).embedding.astype("<f4").tobytes()
        for start in range(0, len(stored), 16):
            assert files_with(stored[start : start + 16], path.parent) == []
    for text in ("id", "Name", "Note", "Consent", "Key"):
        assert files_with(f"{text}-04".encode(), path.parent) == []
        assert files_with(f"{text}-05".encode(), path.parent) == ["vouch.db"]
    assert files_with(taken_back.encode(), path.parent) == ["vouch.db"], "the key that enrolled it still names it"
    store.close()


def test_stray_copies_go_with_the_next_erasure(path: Path) -> None:
    """Deleted without overwriting, bytes stay in the file: like the copies that SQLite leaves as it moves rows."""
    store = opened(path)
    create(store, "alice", "bob")
    enroll(store, "alice", 1)
    stray = new_enrollment(1).embedding.astype("<f4").tobytes()
    sqlite(path, "DELETE FROM enrollments", secure_delete="OFF")
    assert files_with(stray, path.parent) == ["vouch.db"]

    store.erase_speaker(ME, "bob")
    assert files_with(stray, path.parent) == []
    store.close()


def test_an_erasure_cut_short_is_finished_at_the_next_start(path: Path) -> None:
    store = opened(path)
    create(store, "alice")
    enroll(store, "alice", 1)
    store.close()
    stray = new_enrollment(1).embedding.astype("<f4").tobytes()
    sqlite(path, "DELETE FROM speakers", "DELETE FROM enrollments", "PRAGMA user_version=1", secure_delete="OFF")
    assert files_with(stray, path.parent) == ["vouch.db"]

    opened(path).close()
    assert files_with(stray, path.parent) == []
    assert sqlite(path, "PRAGMA user_version") == [(0,)]
