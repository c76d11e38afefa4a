"""An installation on PostgreSQL and back: every row, whatever is done to the copy meanwhile, and nobody served from half of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from database_rows import TABLES, n_differing, on_server
from postgres_server import PostgresServer
from sqlalchemy import make_url

import app
from app.adapters.database import migrate
from app.adapters.migrating import Moved, move_to_file, move_to_server
from app.adapters.migration_targets import COPY_LOCK
from app.adapters.rotation import rotate
from app.adapters.table_copying import Tally
from app.errors import SettingsError, StoreError
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency
from app.settings import Settings
from installations import change, fill, multiply
from kept_stores import has, kept_store
from samples import MASTER, create, enroll
from sqlite_files import sqlite

ROOT = Path(app.__file__).parents[1]
N_MANY = 900
"""Speakers, for three transactions of a copy."""


class Watched:
    """A copy's progress, and what is to happen at one point of it."""

    def __init__(self, after_rows: int = 0, work: Callable[[], object] = lambda: None) -> None:
        self.n_all, self.n_rows = 0, 0
        self._after_rows, self._work = after_rows, work

    def begin(self, n_rows: int) -> None:
        self.n_all = n_rows

    def advance(self, n_rows: int) -> None:
        before, self.n_rows = self.n_rows, self.n_rows + n_rows
        if before < self._after_rows <= self.n_rows:
            self._work()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "data"
    fill(folder)
    return folder


@pytest.fixture
def data(filled: Path, tmp_path: Path) -> Path:
    """A data directory with rows of every kind, nobody's at the moment."""
    return shutil.copytree(filled, tmp_path / "data")


def to_server(data: Path, url: str, progress: Watched | None = None) -> Moved:
    return move_to_server(Settings(data_dir=data), url, progress or Watched())


def to_file(data: Path, url: str, progress: Watched | None = None) -> Moved:
    return move_to_file(Settings(data_dir=data), url, None, progress or Watched())


def execute(url: str, statement: str) -> list[tuple[object, ...]]:
    """As another program would."""
    with connected(url) as connection:
        cursor = connection.execute(statement)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection:
        yield connection


def done(moved: Moved, table: str) -> tuple[int, int, int, int, int]:
    tally: Tally = moved.tables[table]
    return tally.rows, tally.copied, tally.updated, tally.deleted, tally.verified


def test_every_row_is_there_and_the_service_goes_on_with_it(data: Path, postgres_url: str) -> None:
    watched = Watched()
    moved = to_server(data, postgres_url, watched)
    assert moved.is_complete
    assert done(moved, "speakers") == (3, 3, 0, 0, 3)
    assert done(moved, "enrollments") == (3, 3, 0, 0, 3)
    # Two of enrolled clips, one of a clip that was verified.
    assert done(moved, "fingerprints") == (3, 3, 0, 0, 3)
    n_rows = sum(tally.rows for tally in moved.tables.values())
    assert all(tally.rows == tally.verified > 0 for tally in moved.tables.values())
    assert watched.n_rows == watched.n_all == 2 * n_rows
    assert n_differing(data / "vouch.db", postgres_url) == (n_rows, 0)

    with kept_store(data, postgres_url) as store:
        alice = store.find_reference(ME, "alice")
        assert alice is not None
        assert alice.enrollment_count == 2
        assert len(store.fingerprints.of_speaker(alice.number)) == 3
        replayed = store.replayed_enrollments(ME, "alice", Idempotency("enrolled", "print"))
        assert replayed is not None
        assert len(replayed.enrollments) == 2
        # Carol had 4, and the clip that alice took back 4 of the enrollments.
        create(store, "dave")
        assert store.get_speaker(ME, "dave").number == 5
        enroll(store, "dave", 9)
    assert [row["seq"] for row in on_server(postgres_url, "enrollments")] == [1, 2, 4, 7]


def test_a_copy_beside_a_service_is_made_complete_when_it_has_stopped(data: Path, postgres_url: str) -> None:
    with kept_store(data) as store:
        moved = to_server(data, postgres_url)
        assert not moved.is_complete
        assert n_differing(data / "vouch.db", postgres_url)[1] == 0
        with pytest.raises(StoreError, match="not complete: `vouch migrate` was begun"), kept_store(data, postgres_url):
            pass
        change(store)
        assert n_differing(data / "vouch.db", postgres_url)[1] > 0
    moved = to_server(data, postgres_url)
    assert moved.is_complete
    assert done(moved, "speakers") == (4, 2, 1, 1, 4)
    assert done(moved, "enrollments") == (4, 2, 0, 1, 4)
    assert done(moved, "fingerprints") == (2, 0, 0, 1, 2)
    assert done(moved, "erasures") == (4, 2, 0, 0, 4)
    assert n_differing(data / "vouch.db", postgres_url)[1] == 0
    assert {path.name for path in data.iterdir()} == {
        "vouch.db",
        "vouch.db.lock",
        "master.key",
        "erasures.log",
        "audit",
    }
    with kept_store(data, postgres_url) as store:
        assert [has(store, name) for name in ("alice", "bob", "carol", "dave")] == [True, True, False, True]


def test_what_is_equal_is_not_written_again(data: Path, postgres_url: str) -> None:
    for name in ("vouch.db.snapshot", "vouch.db.snapshot.part", "vouch.db.snapshot-journal"):
        (data / name).write_text("of a copy that was killed")
    to_server(data, postgres_url)
    moved = to_server(data, postgres_url)
    assert moved.is_complete
    assert all(tally.copied == tally.updated == tally.deleted == 0 for tally in moved.tables.values())
    assert all(tally.rows == tally.verified for tally in moved.tables.values())
    assert not [path for path in data.iterdir() if "snapshot" in path.name]


@contextmanager
def in_the_way(url: str, path: Path, table: str, number: int) -> Iterator[None]:
    """Somebody who has begun to write this row of the source to the target, and does not end."""
    columns = [name for _, name, *_ in sqlite(path, f"PRAGMA table_info({table})")]
    ((*values,),) = sqlite(path, f"SELECT * FROM {table} WHERE seq = {number}")
    with connected(url) as connection:
        places = ", ".join(["%s"] * len(values))
        connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", values)  # type: ignore[call-overload]
        yield
        connection.rollback()


def killed_while_it_waits(data: Path, url: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "VOUCH_DATA_DIR": str(data)}
    command = [sys.executable, "-c", "from app.cli import main; main()", "migrate", "--to", url]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 60
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while not execute(url, waits):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def test_a_copy_that_is_killed_twice_goes_on_and_ends_equal(data: Path, postgres_url: str) -> None:
    path = data / "vouch.db"
    multiply(path, N_MANY)
    migrate(make_url(postgres_url), MASTER)
    with in_the_way(postgres_url, path, "speakers", number=600):
        killed_while_it_waits(data, postgres_url)
    # The first transaction's, and nothing of the one that was cut short.
    assert execute(postgres_url, "SELECT count(*) FROM speakers") == [(400,)]
    with in_the_way(postgres_url, path, "fingerprints", number=600):
        killed_while_it_waits(data, postgres_url)
    assert execute(postgres_url, "SELECT count(*) FROM speakers") == [(N_MANY + 3,)]
    assert execute(postgres_url, "SELECT count(*) FROM fingerprints") == [(400,)]
    with pytest.raises(StoreError, match="is not complete"), kept_store(data, postgres_url):
        pass
    moved = to_server(data, postgres_url)
    assert moved.is_complete
    assert done(moved, "speakers") == (N_MANY + 3, 0, 0, 0, N_MANY + 3)
    assert done(moved, "fingerprints") == (N_MANY + 3, N_MANY + 3 - 400, 0, 0, N_MANY + 3)
    n_rows = sum(tally.rows for tally in moved.tables.values())
    assert n_differing(path, postgres_url) == (n_rows, 0)


def test_numbers_that_the_source_gave_to_others_are_followed(data: Path, postgres_url: str) -> None:
    """As after a restore of an older backup: the same numbers, other people, and a name that a later number had."""
    to_server(data, postgres_url)
    sqlite(
        data / "vouch.db",
        "PRAGMA foreign_keys=ON",
        "DELETE FROM speakers WHERE speaker_id = 'bob'",
        "PRAGMA foreign_keys=OFF",
        "UPDATE speakers SET speaker_id = 'bob' WHERE tenant = 'neighbour'",
        "UPDATE enrollments SET speaker_id = 'bob' WHERE tenant = 'neighbour'",
        "UPDATE api_keys SET seq = seq + 10, key_id = 'f' || seq",
        "UPDATE api_keys SET seq = seq - 9",
    )
    to_server(data, postgres_url)
    assert n_differing(data / "vouch.db", postgres_url)[1] == 0


def test_numbers_outlive_the_rows_that_had_them(postgres_url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with kept_store(data) as store:
        create(store, "alice")
        store.erase_speaker(ME, "alice")
    to_server(data, postgres_url)
    (data / "vouch.db").unlink()
    to_file(data, postgres_url)
    for url in (postgres_url, None):
        with kept_store(data, url) as store:
            create(store, "bob")
            assert store.get_speaker(ME, "bob").number == 2


def test_json_is_compared_to_the_letter(data: Path, postgres_url: str) -> None:
    to_server(data, postgres_url)
    sqlite(data / "vouch.db", """UPDATE speakers SET metadata = '{"n": true}' WHERE speaker_id = 'bob'""")
    to_server(data, postgres_url)
    sqlite(data / "vouch.db", """UPDATE speakers SET metadata = '{"n": 1}' WHERE speaker_id = 'bob'""")
    assert done(to_server(data, postgres_url), "speakers") == (3, 0, 1, 0, 3)
    assert n_differing(data / "vouch.db", postgres_url)[1] == 0


def test_a_rotation_of_the_master_key_is_followed(data: Path, postgres_url: str) -> None:
    key = (data / "master.key").read_text()
    with kept_store(data):
        to_server(data, postgres_url)
    rotate(Settings(data_dir=data))
    with pytest.raises(StoreError, match="holds a copy of another database"):
        to_server(data, postgres_url)
    new_key = (data / "master.key").read_text()
    (data / "master.key").write_text(new_key + key)
    assert to_server(data, postgres_url).is_complete
    (data / "master.key").write_text(new_key)
    assert n_differing(data / "vouch.db", postgres_url)[1] == 0
    with kept_store(data, postgres_url) as store:
        assert store.find_reference(ME, "alice") is not None


def test_whoever_writes_to_the_target_meanwhile_is_noticed(data: Path, postgres_url: str) -> None:
    def rename() -> None:
        execute(postgres_url, "UPDATE speakers SET display_name = 'another' WHERE speaker_id = 'bob'")

    def take_an_id() -> None:
        ((enrollment_id,),) = sqlite(data / "vouch.db", "SELECT enrollment_id FROM enrollments WHERE seq = 1")
        execute(
            postgres_url,
            "INSERT INTO enrollments SELECT 99, tenant, '"
            + enrollment_id
            + "', speaker_id, 'e', data_key, 1, 1, 1, 0, 'wav', 1, 1,"
            " created_at FROM speakers WHERE speaker_id = 'alice' AND tenant = 'default'",
        )

    n_before_enrollments = 0
    for work, message in (
        (rename, r"Of 3 rows of speakers the target has 2 as they are, and 3 in all\. Something else writes"),
        (take_an_id, r"The target refuses a row: .*Something else writes"),
    ):
        with pytest.raises(StoreError, match=f"(?s){message}"):
            to_server(data, postgres_url, Watched(n_before_enrollments + 8, work))
        execute(postgres_url, "DELETE FROM enrollments")
    assert to_server(data, postgres_url).is_complete
    assert n_differing(data / "vouch.db", postgres_url)[1] == 0


def test_a_database_that_is_used_or_anothers_is_refused(data: Path, postgres_url: str, tmp_path: Path) -> None:
    to_server(data, postgres_url)
    before = execute(postgres_url, "SELECT * FROM deployment")
    fill(tmp_path / "other")
    with pytest.raises(StoreError, match=r"holds a copy of another database\. Name an empty one"):
        to_server(tmp_path / "other", postgres_url)
    assert execute(postgres_url, "SELECT * FROM deployment") == before
    with kept_store(data, postgres_url):
        pass
    with pytest.raises(StoreError, match="is used by a service already, or was"):
        to_server(data, postgres_url)
    execute(postgres_url, "DELETE FROM deployment")
    with pytest.raises(StoreError, match="is used by a service already, or was"):
        to_server(data, postgres_url)
    assert n_differing(data / "vouch.db", postgres_url)[1] == 0


def test_the_schema_of_a_database_that_is_refused_stays(data: Path, postgres_url: str) -> None:
    migrate(make_url(postgres_url), MASTER, revision="0007")
    execute(postgres_url, "INSERT INTO secrets VALUES ('api_keys', '')")
    with pytest.raises(StoreError, match="is used by a service already, or was"):
        to_server(data, postgres_url)
    assert execute(postgres_url, "SELECT * FROM alembic_version") == [("0007",)]


def test_two_copies_into_one_database_are_one_too_many(data: Path, postgres_url: str) -> None:
    with connected(postgres_url) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [COPY_LOCK])
        with pytest.raises(StoreError, match="Another `vouch migrate` is filling"):
            to_server(data, postgres_url)
    assert to_server(data, postgres_url).is_complete


def test_what_cannot_be_copied_is_said(data: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"There is no database at .*nowhere"):
        to_server(tmp_path / "nowhere", "postgresql+psycopg://host/vouch")
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(StoreError, match=r"^--to is sqlite:///other\.db; it must be postgresql\+psycopg://"):
        to_server(data, "sqlite:///other.db")
    with pytest.raises(StoreError, match=r"^--from is sqlite:///other\.db; it must be postgresql\+psycopg://"):
        to_file(data, "sqlite:///other.db")
    for url in ("postgresql+psycopg://host/vouch", "sqlite://", "sqlite:///:memory:"):
        with pytest.raises(StoreError, match=r"^--to is .*; beside --from it must be a file"):
            move_to_file(Settings(data_dir=data), "postgresql+psycopg://host/vouch", url, Watched())
    with pytest.raises(SettingsError, match=r"its master key .* is not there"):
        to_file(tmp_path / "empty", "postgresql+psycopg://host/vouch")


def test_the_way_back_gives_the_database_that_went(data: Path, postgres_url: str, tmp_path: Path) -> None:
    to_server(data, postgres_url)
    with kept_store(data, postgres_url) as store:
        change(store)
        store.erase_speaker(ME, "dave")
    with pytest.raises(StoreError, match=r"vouch\.db is there already, and is not replaced"):
        to_file(data, postgres_url)
    (data / "vouch.db").rename(tmp_path / "former.db")
    (data / "vouch.db-journal").write_bytes(b"of the former one")
    (data / "vouch.db.migrating.whole").write_bytes(b"of a copy that was killed")
    execute(postgres_url, "INSERT INTO audit_entries VALUES ('chain', 1, now(), 'line')")
    moved = to_file(data, postgres_url)
    assert (moved.is_complete, moved.n_audit_entries) == (True, 1)
    n_rows = sum(tally.rows for tally in moved.tables.values())
    assert n_differing(data / "vouch.db", postgres_url) == (n_rows, 0)
    assert set(moved.tables) == set(TABLES)
    assert (data / "vouch.db").stat().st_mode & 0o777 == 0o600
    assert {path.name for path in data.iterdir()} == {
        "vouch.db",
        "vouch.db.lock",
        "master.key",
        "erasures.log",
        "audit",
    }
    with kept_store(data) as store:
        assert [has(store, name) for name in ("alice", "bob", "carol", "dave")] == [True, True, False, False]
        assert store.find_reference(ME, "bob") is not None
        create(store, "eve")
        # Dave, who is gone, had 6.
        assert store.get_speaker(ME, "eve").number == 7


def test_the_way_back_waits_for_services_to_stop_and_goes_on(data: Path, postgres_url: str) -> None:
    multiply(data / "vouch.db", N_MANY)
    to_server(data, postgres_url)
    (data / "vouch.db").unlink()
    with pytest.raises(KeyboardInterrupt):
        to_file(data, postgres_url, Watched(N_MANY + 400, interrupt))
    assert not (data / "vouch.db").exists()
    with kept_store(data, postgres_url) as store:
        assert not to_file(data, postgres_url).is_complete
        assert not (data / "vouch.db").exists()
        ((sealed,),) = execute(postgres_url, "SELECT embedding FROM enrollments WHERE seq = 1")
        store.erase_speaker(ME, "alice")
    moved = to_file(data, postgres_url)
    assert moved.is_complete
    assert done(moved, "speakers") == (N_MANY + 2, 0, 0, 1, N_MANY + 2)
    assert n_differing(data / "vouch.db", postgres_url)[1] == 0
    # multiply() gave alice's bytes to the many: theirs only are left.
    assert isinstance(sealed, bytes)
    assert (data / "vouch.db").read_bytes().count(sealed) == N_MANY


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_service_that_comes_while_the_way_back_is_gone_leaves_it_incomplete(data: Path, postgres_url: str) -> None:
    to_server(data, postgres_url)
    (data / "vouch.db").unlink()
    with connected(postgres_url) as service:
        come = Watched(1, lambda: service.execute("SET application_name = 'vouch'"))
        assert not to_file(data, postgres_url, come).is_complete
        assert not (data / "vouch.db").exists()
    assert to_file(data, postgres_url).is_complete


def test_nobody_writes_to_a_database_that_is_copied_back(data: Path, postgres_url: str) -> None:
    to_server(data, postgres_url)
    (data / "vouch.db").unlink()

    def write() -> None:
        with pytest.raises(psycopg.errors.LockNotAvailable):
            execute(postgres_url, "SET lock_timeout = '1ms'; UPDATE speakers SET display_name = 'late'")

    assert to_file(data, postgres_url, Watched(1, write)).is_complete


def test_the_way_back_takes_no_copy_and_no_other_release(
    data: Path, postgres_url: str, postgres: PostgresServer
) -> None:
    with kept_store(data):
        to_server(data, postgres_url)
    (data / "vouch.db").unlink()
    with pytest.raises(StoreError, match="is itself a copy that is not complete"):
        to_file(data, postgres_url)
    execute(postgres_url, "UPDATE alembic_version SET version_num = '0007'")
    with pytest.raises(StoreError, match="has the schema 0007, and this release of Vouch has"):
        to_file(data, postgres_url)
    with postgres.database() as empty, pytest.raises(StoreError, match="has the schema of no release"):
        to_file(data, empty)
    assert not [path for path in data.iterdir() if path.name.startswith("vouch.db.migrating")]


def test_the_beginning_of_another_copy_is_not_gone_on_with(data: Path, postgres_url: str, tmp_path: Path) -> None:
    to_server(data, postgres_url)
    other = tmp_path / "other"
    fill(other)
    (data / "vouch.db").unlink()
    (other / "vouch.db").rename(data / "vouch.db.migrating")
    with pytest.raises(
        StoreError, match=r"vouch\.db\.migrating is the beginning of a copy of another database\. Delete"
    ):
        to_file(data, postgres_url)
    (data / "vouch.db.migrating").unlink()
    assert to_file(data, postgres_url).is_complete


def test_times_are_the_same_on_a_server_in_another_zone(
    data: Path, postgres_url: str, postgres: PostgresServer
) -> None:
    """Alice's consent lasts to the end of 9999."""
    postgres.execute(f"ALTER DATABASE \"{make_url(postgres_url).database}\" SET timezone = 'Pacific/Kiritimati'")
    assert to_server(data, postgres_url).is_complete
    assert n_differing(data / "vouch.db", postgres_url)[1] == 0
