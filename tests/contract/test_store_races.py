"""Two processes on one PostgreSQL database that meet at one row: whoever comes second sees what the first one did."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pytest

from app.access import ApiKey
from app.adapters.database import Database, open_database
from app.adapters.erasures import Erasures
from app.adapters.master_key import MasterKey
from app.adapters.postgres import MIGRATION_LOCK, PostgresLimits
from app.adapters.sealing import Sealer
from app.adapters.sql_keys import SqlKeyStore
from app.adapters.sql_secrets import open_secrets, seal_keys_anew, seal_secrets_anew
from app.adapters.sql_store import SqlSpeakerStore, open_store
from app.errors import IdempotencyConflict, KeyNotFound, SpeakerNotFound
from app.records import DEFAULT_TENANT as ME
from app.records import Enrolled, ErasedSpeaker, Idempotency, Reference, Speaker, SpeakerChanges
from contention import at_once, in_line, locked
from postgres_files import executed
from samples import ENCODER_ID, MASTER, create, enroll, new_enrollment

KEY = Idempotency("key", "print")
ALICE = "SELECT FROM speakers WHERE speaker_id = 'alice' FOR UPDATE"
ENDED = {"purpose": "login", "given_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-02T00:00:00Z"}
NOW = datetime(2026, 2, 1, tzinfo=UTC)
WORDS = np.arange(1, 21, dtype=np.uint32)


@pytest.fixture
def databases(postgres_store_url: str) -> Iterator[tuple[Database, Database]]:
    """Two processes' own, with connections of their own."""
    pair = open_database(postgres_store_url, MASTER), open_database(postgres_store_url, MASTER)
    yield pair
    for one in pair:
        one.close()


@pytest.fixture
def stores(databases: tuple[Database, Database]) -> tuple[SqlSpeakerStore, SqlSpeakerStore]:
    """Of alice."""
    here, there = (SqlSpeakerStore(one, Sealer(MASTER), Erasures(b"a secret", None)) for one in databases)
    create(here, "alice")
    return here, there


Stores = tuple[SqlSpeakerStore, SqlSpeakerStore]


def add(store: SqlSpeakerStore, seed: int = 1) -> Enrolled:
    clip = replace(new_enrollment(seed), fingerprint=WORDS)
    return store.add_enrollments(ME, "alice", ENCODER_ID, [clip], Idempotency(f"key {seed}", "print"))


def n_rows(url: str) -> list[int]:
    tables = ("speakers", "enrollments", "fingerprints", "idempotency", "erasures")
    return [executed(url, f"SELECT count(*) FROM {table}")[0][0] for table in tables]


# Somebody who is erased


def test_who_enrols_first_is_erased_with_the_clips(stores: Stores, postgres_store_url: str) -> None:
    here, there = stores
    enrolled, number = in_line(postgres_store_url, ALICE, lambda: add(here), lambda: there.erase_speaker(ME, "alice"))
    assert isinstance(enrolled, Enrolled)
    assert number == enrolled.speaker.number
    assert n_rows(postgres_store_url) == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("late", ["enroll", "update", "erase", "remove"])
def test_who_is_erased_first_is_changed_by_nobody(stores: Stores, postgres_store_url: str, late: str) -> None:
    here, there = stores
    clip = enroll(here, "alice", 1).enrollments[0].enrollment_id
    calls = {
        "enroll": lambda: add(there, 2),
        "update": lambda: there.update_speaker(ME, "alice", SpeakerChanges(frozenset({"display_name"}))),
        "erase": lambda: there.erase_speaker(ME, "alice"),
        "remove": lambda: there.remove_enrollment(ME, "alice", clip),
    }
    number, refused = in_line(postgres_store_url, ALICE, lambda: here.erase_speaker(ME, "alice"), calls[late])
    assert isinstance(number, int)
    assert isinstance(refused, SpeakerNotFound)
    assert n_rows(postgres_store_url) == [0, 0, 0, 0, 1]


def test_what_is_heard_of_somebody_while_they_are_erased_is_not_kept(stores: Stores, postgres_store_url: str) -> None:
    here, there = stores
    number = here.get_speaker(ME, "alice").number
    in_line(
        postgres_store_url,
        ALICE,
        lambda: here.erase_speaker(ME, "alice"),
        lambda: there.fingerprints.remember(number, WORDS),
    )
    assert n_rows(postgres_store_url) == [0, 0, 0, 0, 1]


def test_a_repeated_create_behind_an_erasure_makes_somebody_new(stores: Stores, postgres_store_url: str) -> None:
    here, there = stores
    made = here.create_speaker(ME, "bob", None, {}, None, KEY)
    number, again = in_line(
        postgres_store_url,
        "SELECT FROM speakers WHERE speaker_id = 'bob' FOR UPDATE",
        lambda: here.erase_speaker(ME, "bob"),
        lambda: there.create_speaker(ME, "bob", None, {}, None, KEY),
    )
    assert number == made.number
    assert isinstance(again, Speaker)
    assert again.number > made.number


def test_a_repeated_create_before_an_erasure_finds_who_was_made(stores: Stores, postgres_store_url: str) -> None:
    here, there = stores
    made = here.create_speaker(ME, "bob", None, {}, None, KEY)
    results = in_line(
        postgres_store_url,
        "SELECT FROM speakers WHERE speaker_id = 'bob' FOR UPDATE",
        lambda: there.create_speaker(ME, "bob", None, {}, None, KEY),
        lambda: here.erase_speaker(ME, "bob"),
    )
    assert results == [made, made.number]


# One key, several requests


def test_one_request_sent_to_two_replicas_makes_one_speaker(stores: Stores, postgres_store_url: str) -> None:
    """All have looked for the key, and none found it, before the first one writes it down."""
    calls = [
        lambda store=store, name=name: store.create_speaker(ME, name, None, {}, None, KEY)
        for store, name in zip(stores * 2, "abcd", strict=True)
    ]
    first, *others = in_line(postgres_store_url, "LOCK TABLE idempotency IN SHARE MODE", *calls)
    assert isinstance(first, Speaker)
    assert others == [first] * 3
    assert n_rows(postgres_store_url)[0] == 2


def test_of_several_requests_with_one_key_one_is_carried_out(stores: Stores, postgres_store_url: str) -> None:
    here, there = stores
    create(here, "bob")
    clips = [new_enrollment(1)]
    results = in_line(
        postgres_store_url,
        "LOCK TABLE idempotency IN SHARE MODE",
        lambda: here.add_enrollments(ME, "bob", ENCODER_ID, clips, KEY),
        lambda: there.create_speaker(ME, "carol", None, {}, None, KEY),
        lambda: there.add_enrollments(ME, "alice", ENCODER_ID, clips, replace(KEY, fingerprint="another print")),
    )
    assert sum(isinstance(one, IdempotencyConflict) for one in results) == 2
    assert sum(isinstance(one, Enrolled | Speaker) for one in results) == 1
    n_speakers, n_enrollments, _, n_keys, _ = n_rows(postgres_store_url)
    assert (n_speakers - 2) + n_enrollments == n_keys == 1


# The rest


def test_whoever_admits_sees_what_another_process_added_just_before(stores: Stores, postgres_store_url: str) -> None:
    here, there = stores
    seen: list[int] = []

    def admit(stored: Reference | None) -> None:
        seen.append(0 if stored is None else stored.enrollment_count)

    in_line(
        postgres_store_url,
        ALICE,
        lambda: here.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(1), new_enrollment(2)], admit=admit),
        lambda: there.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(3)], admit=admit),
    )
    assert seen == [0, 2]


def test_the_expired_are_erased_by_one_process_each(stores: Stores, postgres_store_url: str) -> None:
    here, there = stores
    names = [f"speaker {n}" for n in range(6)]
    for name in names:
        here.create_speaker(ME, name, None, {}, ENDED)
    with locked(postgres_store_url, "SELECT FROM speakers WHERE speaker_id <= 'speaker 1' FOR UPDATE"):
        # Two of them are in another one's hands, and nobody waits for that one.
        first = here.erase_expired(NOW, 2)
    assert [one.speaker_id for one in first] == names[2:4]
    results = at_once(lambda: here.erase_expired(NOW, 10), lambda: there.erase_expired(NOW, 10))
    rest = [one for erased in results if isinstance(erased, tuple) for one in erased]
    assert all(isinstance(one, ErasedSpeaker) for one in rest)
    assert sorted(one.speaker_id for one in rest) == [*names[:2], *names[4:]]
    assert n_rows(postgres_store_url) == [1, 0, 0, 0, 6]


def test_a_read_sees_one_moment(databases: tuple[Database, Database], stores: Stores) -> None:
    here, there = stores
    with databases[1].reading() as connection:
        before = connection.exec_driver_sql("SELECT count(*) FROM enrollments").scalar()
        add(here)
        assert connection.exec_driver_sql("SELECT count(*) FROM enrollments").scalar() == before == 0
    assert there.get_speaker(ME, "alice").enrollment_count == 1


def test_nothing_is_left_in_a_connection_that_another_process_may_have_next(postgres_store_url: str) -> None:
    """As PgBouncer gives it away after each transaction."""
    with closing(open_database(postgres_store_url, MASTER, PostgresLimits(n_connections=1))) as database:
        store = SqlSpeakerStore(database, Sealer(MASTER))
        create(store, "alice")
        for seed in range(10):
            enroll(store, "alice", seed)
            store.fingerprints.remember(store.get_speaker(ME, "alice").number, WORDS)
        with database.reading() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar() == 0
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_the_secrets_are_made_once(databases: tuple[Database, Database], postgres_store_url: str) -> None:
    calls = [lambda one=one: open_secrets(one, MASTER) for one in databases]
    first, second = in_line(postgres_store_url, "LOCK TABLE secrets IN SHARE MODE", *calls)
    assert first == second == open_secrets(databases[0], MASTER)


def test_one_process_alone_keeps_the_others_out_and_uses_its_whole_pool(postgres_store_url: str) -> None:
    """As replicas do that start at once, and look whether there is a first key."""
    keys = ApiKey("aa", "first", ME, frozenset(), b"\x00" * 32, NOW), ApiKey("bb", "second", ME, frozenset(), b"", NOW)
    pair = [open_database(postgres_store_url, MASTER, PostgresLimits(n_connections=1)) for _ in keys]

    def make_the_first(database: Database, key: ApiKey) -> None:
        with database.alone():
            store = SqlKeyStore(database)
            if not store.load():
                store.add(key)

    calls = [partial(make_the_first, database, key) for database, key in zip(pair, keys, strict=True)]
    told = in_line(postgres_store_url, f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})", *calls)
    assert told == [None, None]
    assert SqlKeyStore(pair[1]).load() == (keys[0],)
    for database in pair:
        database.close()


def test_a_key_that_another_process_revokes_is_not_rotated(
    databases: tuple[Database, Database], postgres_store_url: str
) -> None:
    here, there = map(SqlKeyStore, databases)
    key = ApiKey("aa", "name", ME, frozenset(), b"\x00" * 32, NOW)
    here.add(key)
    revoked, rotated = in_line(
        postgres_store_url,
        "SELECT FROM api_keys FOR UPDATE",
        lambda: here.end(replace(key, revoked_at=NOW)),
        lambda: there.add(replace(key, key_id="bb"), replace(key, expires_at=NOW)),
    )
    assert revoked is None
    assert isinstance(rotated, KeyNotFound)
    assert here.load() == (replace(key, revoked_at=NOW),)


def test_the_master_key_changes_beside_who_comes_and_goes(postgres_store_url: str) -> None:
    old, new = (MasterKey([bytes([n]) * 32]) for n in (1, 2))
    both = MasterKey([bytes([2]) * 32, bytes([1]) * 32])
    before = open_store(postgres_store_url, old)
    names = [f"speaker {n}" for n in range(40)]
    create(before, *names)
    enroll(before, names[0], 1)
    before.close()
    database, serving = open_database(postgres_store_url, both), open_store(postgres_store_url, both)
    secrets = open_secrets(database, both)

    def come_and_go() -> None:
        for name in names[20:]:
            serving.erase_speaker(ME, name)
            create(serving, f"new {name}")
            enroll(serving, f"new {name}", 2)

    results = at_once(come_and_go, lambda: seal_keys_anew(database, both), lambda: seal_secrets_anew(database, both))
    assert results[0] is None
    assert seal_keys_anew(database, both) == seal_secrets_anew(database, both) == 0
    assert open_secrets(database, new) == secrets
    serving.close()
    database.close()
    after = open_store(postgres_store_url, new)
    for name in (names[0], *(f"new {name}" for name in names[20:])):
        assert after.find_reference(ME, name) is not None
    after.close()
