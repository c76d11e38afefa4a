"""The audit trail in PostgreSQL: several processes at once, a database that goes away, and what whoever can write there tries."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sqlalchemy import Connection

from app.adapters.audit_lines import CLOSED, read_line
from app.adapters.database import Database
from app.adapters.engine import make_engine, parse_url
from app.adapters.sql_audit import SqlAudit
from app.adapters.sql_audit_rows import delete_some_before
from app.errors import StoreError
from app.ports import AuditTrail
from audit_trails import ENTRY, KEYS, NOON, Clock, KeptRows


@pytest.fixture
def clock() -> Clock:
    return Clock()


def write(trail: AuditTrail, clock: Clock, *names: str) -> None:
    """An entry each, a second apart."""
    for name in names:
        clock.now += timedelta(seconds=1)
        trail.write(replace(ENTRY, at=clock.now, request_id=name), is_synced=False)


def requests(rows: KeptRows) -> list[str]:
    return [entry["request"] for entry in rows.read().entries()]


def test_replicas_write_chains_of_their_own_and_one_trail_comes_back(audit_rows: KeptRows, clock: Clock) -> None:
    one, other = audit_rows.opened(clock), audit_rows.opened(clock)
    for n in range(3):
        write(one, clock, f"one {n}")
        write(other, clock, f"other {n}")
    one.close()
    other.close()
    assert requests(audit_rows) == ["one 0", "other 0", "one 1", "other 1", "one 2", "other 2"]
    found = audit_rows.read().check()
    assert (found.problem, found.n_entries, found.n_chains, found.n_files, found.unclosed) == (None, 6, 2, 0, ())
    assert [read_line(lines[-1])["action"] for lines in audit_rows.parts().values()] == [CLOSED, CLOSED]


# Asks without end, and prints each entry that the trail has taken.
WRITE = """
import itertools, sys
from dataclasses import replace
from app.adapters.database import Database
from app.adapters.engine import make_engine, parse_url
from app.adapters.sql_audit import SqlAudit
from app.records import utc_now
from audit_trails import ENTRY, KEYS
trail = SqlAudit(Database(make_engine(parse_url(sys.argv[1]))), KEYS, 0, utc_now)
for n in itertools.count():
    trail.write(replace(ENTRY, at=utc_now(), request_id=f"killed {n}"), is_synced=False)
    print(f"killed {n}", flush=True)
"""


def test_what_was_written_outlives_a_kill_beside_another(audit_rows: KeptRows, clock: Clock) -> None:
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, audit_rows.url],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    taken = [process.stdout.readline().strip() for _ in range(20)]
    with closing(audit_rows.opened(clock)) as other:
        write(other, clock, "beside")
        process.kill()
        taken += process.stdout.read().splitlines()
        process.stdout.close()
        process.wait()
    entries = requests(audit_rows)
    # The one that was under way may be there too.
    assert [name for name in entries if name != "beside"][: len(taken)] == taken
    assert len(entries) <= len(taken) + 2
    found = audit_rows.read().check()
    assert (found.problem, found.n_chains) == (None, 2)


def test_many_lines_come_back_in_order(audit_rows: KeptRows, clock: Clock) -> None:
    """More than are read at once."""
    with closing(audit_rows.opened(clock)) as trail:
        write(trail, clock, "first")
        (name,) = audit_rows.parts()
        audit_rows.execute(
            "INSERT INTO audit_entries SELECT 'f' || n % 2, n, timestamptz '2026-02-02' + n * interval '1 s',"
            """ '{"at":"' || n || '","action":"verify","request":"' || n || '"}' FROM generate_series(1, 12000) n"""
        )
    assert requests(audit_rows) == ["first", *map(str, range(1, 12001))]
    assert name not in str(audit_rows.read().check().problem)


def test_a_chain_that_nobody_closed_is_told_until_another_names_its_end(audit_rows: KeptRows, clock: Clock) -> None:
    killed = audit_rows.opened(clock)
    write(killed, clock, "a", "b")
    (name,) = audit_rows.parts()
    (told,) = audit_rows.read().check().unclosed
    assert (told.chain, told.n_entries, told.last_at) == (name, 2, "2026-01-31T12:00:02.000000Z")
    with closing(audit_rows.opened(clock)) as other:
        write(other, clock, "c")
    found = audit_rows.read().check()
    assert (found.problem, found.unclosed) == (None, ())
    audit_rows.replace(name, audit_rows.parts()[name][:-1])
    assert f"chain {name}: it had 3 lines at 2026-01-31T12:00:02" in str(audit_rows.read().check().problem)


def test_the_macs_of_every_chain_that_is_written_to_hold_their_ends(audit_rows: KeptRows, clock: Clock) -> None:
    one, other = audit_rows.opened(clock), audit_rows.opened(clock)
    write(one, clock, "a")
    write(other, clock, "b")
    write(one, clock, "c")
    noted = audit_rows.read().check().last_mac
    assert str(noted).count(",") == 1
    write(one, clock, "d")
    write(other, clock, "e")
    assert audit_rows.read().check(noted).problem is None
    for name, lines in audit_rows.parts().items():
        audit_rows.replace(name, lines[:-2])
        assert "no line has the mac" in str(audit_rows.read().check(noted).problem)
        audit_rows.replace(name, lines)


def test_a_line_taken_out_of_its_place_or_put_under_another_time_shows(audit_rows: KeptRows, clock: Clock) -> None:
    trail = audit_rows.opened(clock)
    write(trail, clock, "a", "b", "c")
    audit_rows.execute("DELETE FROM audit_entries WHERE place = 3")
    assert "line 4: what stood before it is missing" in str(audit_rows.read().check().problem)
    audit_rows.execute("DELETE FROM audit_entries WHERE place = 4")
    assert audit_rows.read().check().problem is None
    audit_rows.execute("UPDATE audit_entries SET written_at = written_at - interval '1 year' WHERE place = 2")
    assert "line 2: it stands under another time" in str(audit_rows.read().check().problem)


def test_a_chain_put_under_another_name_shows(audit_rows: KeptRows, clock: Clock) -> None:
    write(audit_rows.opened(clock), clock, "a")
    audit_rows.execute("UPDATE audit_entries SET chain = 'another'")
    assert "chain another, line 1" in str(audit_rows.read().check().problem)


def test_the_beginning_of_a_chain_may_be_missing_only_once_all_of_it_is_old(audit_rows: KeptRows, clock: Clock) -> None:
    write(audit_rows.opened(clock), clock, "a", "b")
    (old,) = audit_rows.parts()
    clock.now += timedelta(days=3)
    keeping = audit_rows.opened(clock, keep_days=2)
    write(keeping, clock, "c")
    (new,) = set(audit_rows.parts()) - {old}
    with audit_rows.database.writing() as connection:
        assert delete_some_before(connection, NOON + timedelta(days=1), n_lines=2)
    assert len(audit_rows.parts()[old]) == 1
    assert audit_rows.read().check().problem is None
    keeping.sync()
    assert list(audit_rows.parts()) == [new]
    assert audit_rows.read().check().problem is None
    audit_rows.execute("DELETE FROM audit_entries WHERE place = 1")
    assert audit_rows.read().check().problem == f"chain {new}: its first 1 lines are missing."


def test_what_another_process_deletes_is_left_to_it(audit_rows: KeptRows, clock: Clock) -> None:
    write(audit_rows.opened(clock), clock, "a")
    later = NOON + timedelta(days=1)
    with audit_rows.database.writing() as first:
        assert delete_some_before(first, later)
        with audit_rows.database.writing() as second:
            assert delete_some_before(second, later)
    with audit_rows.database.writing() as connection:
        assert not delete_some_before(connection, later)


def test_after_a_sync_the_log_of_the_database_is_on_disk(audit_rows: KeptRows, clock: Clock) -> None:
    trail = audit_rows.opened(clock)
    write(trail, clock, "a")
    end = _told(audit_rows.database, "SELECT pg_current_wal_insert_lsn()::text")
    trail.sync()
    assert _told(audit_rows.database, f"SELECT pg_current_wal_flush_lsn() >= '{end}'") is True


def test_what_a_crash_of_the_database_took_is_written_again(
    audit_rows: KeptRows, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    trail = audit_rows.opened(clock)
    write(trail, clock, "a", "b", "c")
    audit_rows.execute("DELETE FROM audit_entries WHERE place > 2")
    write(trail, clock, "d")
    audit_rows.execute("DELETE FROM audit_entries")
    trail.sync()
    write(trail, clock, "e")
    audit_rows.execute("DELETE FROM audit_entries WHERE place > 5")
    trail.close()
    assert requests(audit_rows) == ["a", "b", "c", "d", "e"]
    assert (audit_rows.read().check().problem, len(audit_rows.parts())) == (None, 1)
    assert "had lost 2 lines of the audit trail, which are written again" in caplog.text


def test_what_is_lost_after_it_was_synced_is_missed(
    audit_rows: KeptRows, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """As a standby does that was behind."""
    trail = audit_rows.opened(clock)
    write(trail, clock, "a", "b", "c")
    trail.sync()
    write(trail, clock, "d")
    audit_rows.execute("DELETE FROM audit_entries WHERE place > 2")
    write(trail, clock, "e")
    trail.close()
    assert requests(audit_rows) == ["a", "d", "e"]
    assert "has lost 2 lines of the audit trail" in caplog.text
    assert "line 5: what stood before it is missing" in str(audit_rows.read().check().problem)


def test_a_problem_that_is_known_hides_none_that_is_new(audit_rows: KeptRows, clock: Clock) -> None:
    for name in ("a", "b"):
        with closing(audit_rows.opened(clock)) as trail:
            write(trail, clock, name, name)
    one, other = audit_rows.parts()
    audit_rows.execute(f"DELETE FROM audit_entries WHERE chain = '{one}' AND place = 2")
    first = str(audit_rows.read().check().problem)
    assert "problems" not in first
    audit_rows.execute(f"DELETE FROM audit_entries WHERE chain = '{other}' AND place = 2")
    assert "one of 2 problems" in str(audit_rows.read().check().problem)


class Forgetful(Database):
    """Commits, and then loses the answer, where it is told to."""

    loses_answers = False

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with super().writing() as connection:
            yield connection
        if self.loses_answers:
            raise StoreError("The connection was lost.")


@pytest.mark.parametrize("n_before", [0, 2])
def test_a_commit_of_which_nobody_was_told_is_not_written_twice(audit_url: str, clock: Clock, n_before: int) -> None:
    engine = make_engine(parse_url(audit_url))
    with closing(Forgetful(engine)) as database:
        rows = KeptRows(audit_url, engine, database)
        trail = SqlAudit(database, KEYS, 0, clock)
        write(trail, clock, *(f"before {n}" for n in range(n_before)))
        database.loses_answers = True
        write(trail, clock, "lost")
        assert trail.n_unwritten == 1
        database.loses_answers = False
        write(trail, clock, "after")
        trail.close()
        assert requests(rows) == [*(f"before {n}" for n in range(n_before)), "lost", "after"]
        found = rows.read().check()
        assert (found.problem, found.n_chains, found.unclosed) == (None, 1, ())


def test_a_chain_that_was_closed_without_an_answer_is_not_closed_again(audit_url: str, clock: Clock) -> None:
    engine = make_engine(parse_url(audit_url))
    with closing(Forgetful(engine)) as database:
        rows = KeptRows(audit_url, engine, database)
        trail = SqlAudit(database, KEYS, 0, clock)
        write(trail, clock, "a")
        clock.now += timedelta(days=1)
        database.loses_answers = True
        write(trail, clock, "b")
        database.loses_answers = False
        trail.close()
        assert requests(rows) == ["a", "b"]
        assert (rows.read().check().problem, len(rows.parts())) == (None, 2)


def test_entries_wait_while_the_server_is_away(postgres: PostgresServer, audit_rows: KeptRows, clock: Clock) -> None:
    trail = audit_rows.opened(clock)
    write(trail, clock, "a")
    postgres.stop()
    try:
        write(trail, clock, "b", "c")
        assert trail.n_unwritten == 2
        with pytest.raises(StoreError, match="The audit trail cannot be written"):
            trail.require_room()
    finally:
        postgres.start()
    trail.sync()
    assert (trail.n_unwritten, requests(audit_rows)) == (0, ["a", "b", "c"])
    assert audit_rows.read().check().problem is None


def _told(database: Database, statement: str) -> object:
    with database.reading() as connection:
        return connection.exec_driver_sql(statement).scalar_one()
