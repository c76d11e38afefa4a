"""Erased means gone from every file, not only from the answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency
from samples import ENCODER_ID, create, enroll, new_enrollment
from sqlite_files import opened, sqlite


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


def test_stray_copies_go_with_the_next_erasure(path: Path) -> None:
    """Deleted without overwriting, bytes stay in the file: like the copies that SQLite leaves as it moves rows."""
    store = opened(path)
    create(store, "alice", "bob")
    enroll(store, "alice", 1)
    stray = stored(path, "TRUE")[0]
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
    stray = stored(path, "TRUE")[0]
    sqlite(path, "DELETE FROM speakers", "DELETE FROM enrollments", "PRAGMA user_version=1", secure_delete="OFF")
    assert files_with(stray, path.parent) == ["vouch.db"]

    opened(path).close()
    assert files_with(stray, path.parent) == []
    assert sqlite(path, "PRAGMA user_version") == [(0,)]
