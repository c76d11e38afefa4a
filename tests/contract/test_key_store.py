"""Every KeyStore: what is added is there, in order; an end stays an end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.access import ApiKey
from app.adapters.database import open_database
from app.adapters.sql_keys import SqlKeyStore
from app.errors import KeyNotFound
from app.ports import KeyStore
from fakes import FakeKeyStore
from samples import MASTER

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KEY = ApiKey("aa", "näme", "t", frozenset({"verify", "scores"}), b"\x00" * 32, NOON)


@pytest.fixture(params=["sqlite", "postgres", "memory"])
def keys(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeyStore]:
    if request.param == "memory":
        yield FakeKeyStore()
        return
    is_postgres = request.param == "postgres"
    url = request.getfixturevalue("postgres_store_url") if is_postgres else f"sqlite:///{tmp_path}/vouch.db"
    with closing(open_database(url, MASTER)) as database:
        yield SqlKeyStore(database)


def test_what_is_added_is_there_in_order(keys: KeyStore) -> None:
    assert keys.load() == ()
    other = replace(KEY, key_id="0", expires_at=NOON + timedelta(days=1))
    keys.add(KEY)
    keys.add(other)
    assert keys.load() == (KEY, other)
    assert (keys.find("aa"), keys.find("0"), keys.find("x")) == (KEY, other, None)


def test_keys_are_shared_where_the_database_is(tmp_path: Path, postgres_store_url: str) -> None:
    for url, is_shared in ((f"sqlite:///{tmp_path}/vouch.db", False), (postgres_store_url, True)):
        with closing(open_database(url, MASTER)) as database:
            assert SqlKeyStore(database).is_shared is is_shared


def test_a_revocation_is_never_taken_back(keys: KeyStore) -> None:
    keys.add(KEY)
    revoked = replace(KEY, revoked_at=NOON)
    keys.end(revoked)
    keys.end(KEY)
    keys.end(replace(KEY, revoked_at=NOON + timedelta(days=1)))
    assert keys.find("aa") == revoked


def test_one_is_added_as_another_ends(keys: KeyStore) -> None:
    keys.add(KEY)
    ended, new = replace(KEY, expires_at=NOON), replace(KEY, key_id="bb")
    keys.add(new, ended)
    assert keys.load() == (ended, new)


def test_none_is_added_for_another_that_was_revoked(keys: KeyStore) -> None:
    keys.add(KEY)
    keys.end(replace(KEY, revoked_at=NOON))
    with pytest.raises(KeyNotFound, match="'aa' was revoked"):
        keys.add(replace(KEY, key_id="bb"), replace(KEY, expires_at=NOON))
    assert keys.load() == (replace(KEY, revoked_at=NOON),)


def test_uses_are_noted_and_end_nothing(keys: KeyStore) -> None:
    keys.add(KEY)
    keys.end(replace(KEY, revoked_at=NOON))
    keys.note_uses({"aa": NOON, "gone": NOON} if isinstance(keys, SqlKeyStore) else {"aa": NOON})
    keys.note_uses({"aa": NOON - timedelta(minutes=1)})
    assert keys.find("aa") == replace(KEY, revoked_at=NOON, last_used_at=NOON)
