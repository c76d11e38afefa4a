"""The store while its PostgreSQL server refuses, takes too long, goes away and comes back: never a wrong answer."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from postgres_server import PostgresServer, postgres_server
from sqlalchemy import make_url

from app.access import ApiKey
from app.adapters.database import open_database
from app.adapters.postgres import PostgresLimits
from app.adapters.retrying import N_TRIES
from app.adapters.sealing import Sealer
from app.adapters.sql_keys import SqlKeyStore
from app.adapters.sql_store import SqlSpeakerStore, open_store
from app.errors import SpeakerNotFound, StoreError
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency, SpeakerChanges
from contention import PATIENCE_S, await_waiting, locked, outcome
from cut_wire import wire_to
from postgres_files import cut_connections, executed, hurry
from samples import ENCODER_ID, MASTER, create, enroll, new_enrollment

KEY = Idempotency("key", "print")
ALICE = "SELECT FROM speakers WHERE speaker_id = 'alice' FOR UPDATE"
NEVER_WAIT = PostgresLimits(n_connections=1, timeout_s=0.2)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """One that nobody else uses: it is stopped."""
    with postgres_server() as server:
        hurry(server)
        yield server


@pytest.fixture(scope="module")
def template(server: PostgresServer) -> Iterator[str]:
    """The name of a database that has the schema."""
    with server.database() as url:
        open_store(url, MASTER).close()
        yield name_of(url)


@pytest.fixture
def url(server: PostgresServer, template: str) -> Iterator[str]:
    """Of a database that has the schema, which the test may change."""
    with server.database(template) as url:
        yield url


@pytest.fixture
def store(url: str) -> Iterator[SqlSpeakerStore]:
    """Of alice, with two clips."""
    with closing(open_store(url, MASTER)) as store:
        create(store, "alice")
        enroll(store, "alice", 1, 2)
        yield store


def name_of(url: str) -> str:
    return str(make_url(url).database)


# A transaction that was undone


def fail(url: str, table: str, sqlstate: str, n_times: int) -> None:
    """Makes the server undo so many transactions that write the table, as it does where another one is in their way."""
    executed(
        url,
        "CREATE SEQUENCE tries",
        f"""CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('tries') <= {n_times} THEN RAISE 'undone' USING ERRCODE = '{sqlstate}'; END IF;
            RETURN NULL; END $$""",
        f"CREATE TRIGGER fail AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION fail()",
    )


def n_tries(url: str) -> int:
    return int(executed(url, "SELECT last_value FROM tries")[0][0])


def clip_of(store: SqlSpeakerStore) -> str:
    return store.list_enrollments(ME, "alice")[0].enrollment_id


WRITES: dict[str, tuple[str, Callable[[SqlSpeakerStore], object]]] = {
    "create": ("speakers", lambda store: create(store, "bob")),
    "update": ("speakers", lambda store: store.update_speaker(ME, "alice", SpeakerChanges(frozenset({"metadata"})))),
    "enroll": ("enrollments", lambda store: enroll(store, "alice", 3)),
    "remove": ("enrollments", lambda store: store.remove_enrollment(ME, "alice", clip_of(store))),
    "erase": ("speakers", lambda store: store.erase_speaker(ME, "alice")),
    "expire": ("speakers", lambda store: store.erase_expired(datetime(2026, 2, 1, tzinfo=UTC), 10)),
}


def facts(store: SqlSpeakerStore) -> list[tuple[str, int]]:
    return [(one.speaker_id, one.enrollment_count) for one in store.list_speakers(ME, 10, None).speakers]


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
@pytest.mark.parametrize("write", WRITES)
def test_what_was_undone_for_another_is_done_again_and_once(
    store: SqlSpeakerStore, url: str, write: str, sqlstate: str
) -> None:
    table, call = WRITES[write]
    store.create_speaker(ME, "expired", None, {}, {"expires_at": "2026-01-01T00:00:00Z"})
    fail(url, table, sqlstate, 2)
    call(store)
    before = {"alice": 2, "expired": 0}
    after = {
        "create": {**before, "bob": 0},
        "update": before,
        "enroll": {**before, "alice": 3},
        "remove": {**before, "alice": 1},
        "erase": {"expired": 0},
        "expire": {"alice": 2},
    }
    assert dict(facts(store)) == after[write]


def test_what_is_undone_each_time_is_given_up_and_leaves_nothing(store: SqlSpeakerStore, url: str) -> None:
    fail(url, "enrollments", "40001", 1000)
    with pytest.raises(StoreError, match=r"cannot be written: undone\. Others changed the same rows each time"):
        store.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(3)], KEY)
    assert n_tries(url) == N_TRIES
    assert facts(store) == [("alice", 2)]
    assert store.replayed_enrollments(ME, "alice", KEY) is None


def test_a_key_is_written_again_too(url: str) -> None:
    fail(url, "api_keys", "40001", 2)
    key = ApiKey("aa", "name", ME, frozenset(), b"\x00" * 32, datetime(2026, 1, 1, tzinfo=UTC))
    with closing(open_database(url, MASTER)) as database:
        SqlKeyStore(database).add(key)
        assert SqlKeyStore(database).load() == (key,)


def test_of_two_that_wait_for_each_other_both_get_their_way(store: SqlSpeakerStore, url: str) -> None:
    executed(
        url,
        "INSERT INTO api_keys (key_id, name, tenant, scopes, digest, created_at) "
        "SELECT id, '', '', '[]', '', now() FROM unnest(ARRAY['aa', 'bb']) id",
    )
    used = dict.fromkeys(("aa", "bb"), datetime(2026, 1, 1, tzinfo=UTC))
    with closing(open_database(url, MASTER)) as database, ThreadPoolExecutor(2) as pool:
        # The server is to undo the one of the store.
        with locked(url, "SET LOCAL deadlock_timeout = '1min'") as other:
            other.exec_driver_sql("SELECT FROM api_keys WHERE key_id = 'bb' FOR UPDATE")
            noted = pool.submit(outcome, lambda: SqlKeyStore(database).note_uses(used))
            await_waiting(other, 1)
            other.exec_driver_sql("SELECT FROM api_keys WHERE key_id = 'aa' FOR UPDATE")
        assert noted.result() is None
        assert {key.last_used_at for key in SqlKeyStore(database).load()} == set(used.values())


# A server that refuses, or takes too long


@pytest.mark.parametrize(
    ("sqlstate", "advice"),
    [
        ("53100", "Free some space on the server"),
        ("25006", "Name the primary"),
        ("57P03", "starting or stopping"),
        ("XX000", "can be reached and has space"),
    ],
)
def test_a_refusal_says_what_to_do(store: SqlSpeakerStore, url: str, sqlstate: str, advice: str) -> None:
    fail(url, "speakers", sqlstate, 1)
    with pytest.raises(StoreError, match=rf"cannot be written: undone\. .*{advice}"):
        create(store, "bob")
    assert facts(store) == [("alice", 2)]
    create(store, "bob")


def test_a_standby_is_named(store: SqlSpeakerStore, url: str) -> None:
    executed(url, f'ALTER DATABASE "{name_of(url)}" SET default_transaction_read_only = on')
    cut_connections(url)
    assert facts(store) == [("alice", 2)]
    with pytest.raises(StoreError, match=r"read-only transaction\. .*Name the primary"):
        create(store, "bob")


def test_a_lock_that_others_hold_for_too_long_is_a_refusal(store: SqlSpeakerStore, url: str) -> None:
    with closing(SqlSpeakerStore(open_database(url, MASTER, NEVER_WAIT), Sealer(MASTER))) as hasty:
        with locked(url, ALICE), pytest.raises(StoreError, match="VOUCH_DATABASE_TIMEOUT_S"):
            enroll(hasty, "alice", 3)
        assert facts(hasty) == [("alice", 2)]
        enroll(hasty, "alice", 3)


def test_a_pool_that_is_taken_is_a_refusal(url: str) -> None:
    with closing(open_database(url, MASTER, NEVER_WAIT)) as database:
        store = SqlSpeakerStore(database, Sealer(MASTER))
        with database.reading(), pytest.raises(StoreError, match="raise VOUCH_DATABASE_POOL"):
            store.count_speakers()
        assert store.count_speakers() == 0


def test_an_error_repeats_no_row(store: SqlSpeakerStore, url: str) -> None:
    executed(url, "ALTER TABLE speakers ADD CONSTRAINT no_more CHECK (display_name IS NULL)")
    with pytest.raises(StoreError, match=r"refuses what it was given: .*no_more") as raised:
        store.create_speaker(ME, "bob", "Robert Very-Private", {"phone": "555-0123"}, None)
    cause = raised.value.__cause__
    assert cause is not None
    told = f"{raised.value} {cause} {cause.__cause__}"
    assert "INSERT INTO speakers" in told
    assert "Private" not in told
    assert "555" not in told


# A server that cannot be reached


def test_whoever_cannot_connect_is_told_why(server: PostgresServer, url: str, tmp_path: Path) -> None:
    ((hba,),) = executed(url, "SHOW hba_file")
    executed(url, "CREATE ROLE locked LOGIN PASSWORD 'hunter1'", "CREATE ROLE one LOGIN CONNECTION LIMIT 0")
    rules = Path(hba).read_text()
    Path(hba).write_text(f"local all locked scram-sha-256\n{rules}")
    executed(url, "SELECT pg_reload_conf()")
    with_password = url.replace("postgres@", "locked:hunter2@")
    advice = {
        with_password: "Check the user and the password",
        url.replace("postgres@", "nobody@"): "Check the user in",
        url.replace("postgres@", "one@"): "Lower VOUCH_DATABASE_POOL",
        url.replace(name_of(url), "nothing"): "Make it with CREATE DATABASE",
        f"postgresql+psycopg://u:hunter2@/db?host={tmp_path}": "Check that the database can be reached",
        f"postgresql+psycopg://u@/db?host={tmp_path}&password=hunter2": "Check that the database can be reached",
    }
    for bad, said in advice.items():
        with pytest.raises(StoreError, match=said) as raised:
            open_store(bad, MASTER)
        assert "hunter2" not in f"{raised.value} {raised.value.__cause__}"
        assert "cannot be opened: " in str(raised.value)


def test_connections_that_were_cut_between_two_requests_are_no_bodys_concern(store: SqlSpeakerStore, url: str) -> None:
    assert cut_connections(url) > 0
    assert facts(store) == [("alice", 2)]
    assert cut_connections(url) > 0
    enroll(store, "alice", 3)
    assert facts(store) == [("alice", 3)]


def test_a_connection_that_is_cut_costs_its_request_alone(store: SqlSpeakerStore, url: str) -> None:
    with ThreadPoolExecutor(2) as pool, locked(url, ALICE) as other:
        in_flight = [pool.submit(outcome, lambda: enroll(store, "alice", 3)) for _ in range(2)]
        await_waiting(other, 2)
        executed(url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")
        told = [one.result() for one in in_flight]
        assert [type(one) for one in told] == [StoreError] * 2
        assert "somebody ended the connection. Try again." in str(told[0])
        assert facts(store) == [("alice", 2)]
    enroll(store, "alice", 3)


def test_a_commit_whose_answer_is_lost_is_found_by_its_key(store: SqlSpeakerStore, url: str) -> None:
    with wire_to(url) as wire, closing(open_store(wire.url, MASTER)) as far:
        wire.loses_commits = True
        with pytest.raises(StoreError, match="cannot be written"):
            far.create_speaker(ME, "bob", "Bob", {}, None, KEY)
        made = store.get_speaker(ME, "bob")
        assert far.create_speaker(ME, "another id", "Bob", {}, None, KEY) == made
        clips = [new_enrollment(3)]
        wire.loses_commits = True
        with pytest.raises(StoreError, match="cannot be written"):
            far.add_enrollments(ME, "bob", ENCODER_ID, clips, Idempotency("another key", "print"))
        done = store.list_enrollments(ME, "bob")
        assert len(done) == 1
        again = far.add_enrollments(ME, "bob", ENCODER_ID, clips, Idempotency("another key", "print"))
        assert again.enrollments == done
        wire.loses_commits = True
        with pytest.raises(StoreError, match="cannot be written"):
            far.erase_speaker(ME, "bob")
        with pytest.raises(SpeakerNotFound):
            far.erase_speaker(ME, "bob")


def test_a_server_that_stops_and_starts_under_load_loses_nothing(
    server: PostgresServer, store: SqlSpeakerStore, url: str
) -> None:
    """Who was told that a speaker was made or erased finds it so, and who was told of an error may find either."""
    acknowledged: list[str] = []
    errors: list[object] = []
    has_begun, is_back = threading.Barrier(4), threading.Event()

    def work(thread: int) -> None:
        n_after = 0
        deadline_s = time.monotonic() + PATIENCE_S
        for n in itertools.count(1):
            if n_after == 5 or time.monotonic() > deadline_s:
                return
            name = f"speaker {thread} {n}"
            was_back = is_back.is_set()
            told = outcome(lambda name=name: store.create_speaker(ME, name, None, {}, None, Idempotency(name, "print")))
            if isinstance(told, Exception):
                errors.append(told)
            else:
                acknowledged.append(name)
                n_after += was_back
            if n == 5:
                has_begun.wait(PATIENCE_S)

    with ThreadPoolExecutor(3) as pool:
        threads = [pool.submit(work, thread) for thread in range(3)]
        has_begun.wait(PATIENCE_S)
        server.stop()
        with pytest.raises(StoreError, match="Check that the database can be reached"):
            store.check()
        server.start()
        store.check()
        is_back.set()
    assert [thread.result() for thread in threads] == [None] * 3
    assert {type(one) for one in errors} == {StoreError}
    assert len(acknowledged) >= 3 * (5 + 5)
    for name in acknowledged:
        assert store.get_speaker(ME, name).speaker_id == name
