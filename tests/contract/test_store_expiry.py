"""Whoever's consent has ended is erased, in every SpeakerStore; nobody else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.adapters.sql_store import open_store
from app.errors import SpeakerNotFound
from app.ports import SpeakerStore
from app.records import DEFAULT_TENANT as ME
from app.records import SpeakerChanges, consent_end
from kept_stores import has, kept_store
from made_schemas import MASTER, load
from samples import enroll
from sqlite_files import sqlite

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def until(end: datetime | str | None) -> dict[str, Any]:
    return {"purpose": "login", "expires_at": end.isoformat() if isinstance(end, datetime) else end}


def add(store: SpeakerStore, speaker_id: str, end: datetime | str | None, tenant: str = ME) -> int:
    return store.create_speaker(tenant, speaker_id, None, {}, until(end)).number


def test_the_ended_go_in_the_order_of_their_end_and_the_others_stay(store: SpeakerStore) -> None:
    late, early = add(store, "late", NOON), add(store, "early", NOON - SECOND, tenant="another")
    add(store, "later", NOON + SECOND)
    add(store, "no end", None)
    store.create_speaker(ME, "no consent", None, {}, None)
    enroll(store, "late", 1, 2)

    first = store.erase_expired(NOON, 1)
    assert [(one.number, one.tenant, one.speaker_id) for one in first] == [(early, "another", "early")]
    assert [(one.number, one.speaker_id) for one in store.erase_expired(NOON, 10)] == [(late, "late")]
    assert store.erase_expired(NOON, 10) == ()
    left = store.list_speakers(ME, 10, None).speakers
    assert [one.speaker_id for one in left] == ["later", "no end", "no consent"]
    with pytest.raises(SpeakerNotFound):
        store.list_enrollments(ME, "late")


def test_an_end_may_be_moved_or_taken_back(store: SpeakerStore) -> None:
    for speaker_id in ("moved", "taken back", "renamed"):
        add(store, speaker_id, NOON)
    add(store, "given", None)
    store.update_speaker(ME, "moved", SpeakerChanges(frozenset({"consent"}), consent=until(NOON + SECOND)))
    store.update_speaker(ME, "taken back", SpeakerChanges(frozenset({"consent"}), consent=None))
    store.update_speaker(ME, "renamed", SpeakerChanges(frozenset({"display_name"}), display_name="R"))
    store.update_speaker(ME, "given", SpeakerChanges(frozenset({"consent"}), consent=until(NOON)))
    assert [one.speaker_id for one in store.erase_expired(NOON, 10)] == ["renamed", "given"]


@pytest.mark.parametrize(
    ("written", "end"),
    [
        ("2026-06-01T12:00:00Z", NOON),
        ("2026-06-01T14:00:00+02:00", NOON),
        ("2026-06-01T12:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("soon", None),
        (None, None),
        (7, None),
    ],
)
def test_an_end_is_a_moment_with_a_time_zone(written: Any, end: datetime | None) -> None:
    assert consent_end({"expires_at": written}) == end
    assert consent_end({}) is None
    assert consent_end(None) is None


def test_the_ended_come_back_with_no_copy_of_the_database(tmp_path: Path) -> None:
    """The erasure log tells of them as of everybody who was erased by a call."""
    with kept_store(tmp_path) as store:
        add(store, "alice", NOON)
        add(store, "bob", None)
        enroll(store, "alice", 1)
    copy = (tmp_path / "vouch.db").read_bytes()
    with kept_store(tmp_path) as store:
        store.erase_expired(NOON, 10)
    (tmp_path / "vouch.db").write_bytes(copy)
    with kept_store(tmp_path) as store:
        assert (has(store, "alice"), has(store, "bob")) == (False, True)


def test_the_ends_of_an_earlier_release_are_found(tmp_path: Path) -> None:
    path = tmp_path / "vouch.db"
    load("0005", path)
    sqlite(path, """UPDATE speakers SET consent = '{"expires_at": "2026-06-01T14:00:00+02:00"}' WHERE seq = 3""")
    sqlite(path, """UPDATE speakers SET consent = '{"expires_at": "never"}' WHERE seq = 7""")
    store = open_store(f"sqlite:///{path}", MASTER)
    assert store.erase_expired(NOON - SECOND, 10) == ()
    assert [one.number for one in store.erase_expired(NOON, 10)] == [3]
    store.close()
