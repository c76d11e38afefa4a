"""What the SQL store promises beyond its port: restarts, schema, refusals, failures."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from numpy.typing import NDArray
from sqlalchemy import MetaData, event, make_url

from app.adapters.database import MIGRATIONS, Database, migrate, open_database
from app.adapters.engine import make_engine
from app.adapters.postgres_tables import POSTGRES_METADATA
from app.adapters.sealing import Sealer
from app.adapters.sql_store import SqlSpeakerStore, open_store
from app.adapters.tables import METADATA
from app.errors import SpeakerNotFound, StoreError
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency
from model.errors import InvalidArgument
from postgres_files import executed
from samples import ENCODER_ID, MASTER, create, enroll, new_enrollment, speaker_ids
from sqlite_files import opened, resealed, sqlite


def test_everything_is_there_after_a_restart_but_the_erased(store_url: str) -> None:
    store = open_store(store_url, MASTER)
    made = store.create_speaker(ME, "alice", "Alice", {"a": [1]}, {"given": True})
    key = Idempotency("key", "print")
    done = store.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(1), new_enrollment(2)], key)
    create(store, "bob")
    enroll(store, "bob", 3)
    store.erase_speaker(ME, "bob")
    before = store.find_reference(ME, "alice")
    store.close()

    store = open_store(store_url, MASTER)
    assert store.get_speaker(ME, "alice") == done.speaker
    assert store.get_speaker(ME, "alice").created_at == made.created_at
    assert store.list_enrollments(ME, "alice") == done.enrollments
    assert store.replayed_enrollments(ME, "alice", key) == done
    after = store.find_reference(ME, "alice")
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(after.embedding, before.embedding)
    with pytest.raises(SpeakerNotFound):
        store.get_speaker(ME, "bob")
    assert speaker_ids(store, store.references()) == [(ME, "alice")]
    store.close()


def test_references_are_read_in_batches(path: Path) -> None:
    """More speakers than a batch holds, some with no enrollment: nobody is lost at a seam, or comes twice."""
    store = opened(path)
    create(store, "alice")
    enroll(store, "alice", 1)
    store.close()
    sqlite(
        path,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) "
        "INSERT INTO speakers (tenant, speaker_id, metadata, created_at, updated_at, data_key) "
        "SELECT tenant, 'speaker ' || i, metadata, created_at, updated_at, new_key(tenant, 'speaker ' || i)"
        " FROM speakers, n",
        "INSERT INTO enrollments (tenant, enrollment_id, speaker_id, encoder_id, embedding, duration_s, speech_s,"
        " clipped_fraction, source_format, source_sample_rate_hz, source_channels, created_at) "
        "SELECT e.tenant, s.speaker_id, s.speaker_id, encoder_id,"
        " sealed(x'"
        + new_enrollment(1).embedding.tobytes().hex()
        + "', s.tenant, s.speaker_id, s.data_key, encoder_id), duration_s, speech_s, clipped_fraction,"
        " source_format, source_sample_rate_hz, source_channels, e.created_at "
        "FROM enrollments e, speakers s WHERE s.seq > 1 AND s.seq % 7",
    )
    store = opened(path)
    batches = list(store.references())
    assert store.count_speakers() == 9001
    store.close()
    assert len(batches) > 2
    assert [number for one in batches for number in one.numbers] == [1, *(n for n in range(2, 9002) if n % 7)]


# The database


def test_every_connection_is_set_up_alike(path: Path) -> None:
    opened(path).close()
    engine = make_engine(make_url(f"sqlite:///{path}"))
    expected = {
        "journal_mode": "delete",
        "synchronous": 3,
        "foreign_keys": 1,
        "secure_delete": 1,
        "busy_timeout": 30_000,
        "temp_store": 2,
    }
    connections = [engine.connect() for _ in range(3)]
    for connection in connections:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in expected}
        assert found == expected
    for connection in connections:
        connection.close()
    engine.dispose()


def test_a_write_holds_the_file_from_its_start_and_a_read_does_not(path: Path) -> None:
    database = open_database(f"sqlite:///{path}", MASTER)
    with database.reading():
        sqlite(path, "BEGIN IMMEDIATE", "ROLLBACK", busy_timeout=0)
    with database.writing(), pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite(path, "BEGIN IMMEDIATE", busy_timeout=0)
    database.close()


def test_only_the_owner_can_read_the_files(path: Path) -> None:
    store = opened(path)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {
        "vouch.db": 0o600,
        "vouch.db.lock": 0o600,
    }
    store.close()


def test_the_migrations_end_at_the_schema_of_the_code(path: Path) -> None:
    opened(path).close()
    assert differences(f"sqlite:///{path}", METADATA) == []


def test_they_do_on_postgresql_too(postgres_url: str) -> None:
    open_store(postgres_url, MASTER).close()
    assert differences(postgres_url, [METADATA, POSTGRES_METADATA]) == []


def differences(url: str, schema: MetaData | list[MetaData]) -> list[object]:
    engine = make_engine(make_url(url))
    with engine.connect() as connection:
        found: list[object] = compare_metadata(MigrationContext.configure(connection), schema)
    engine.dispose()
    return found


REBUILD_SPEAKERS = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade():
    with op.batch_alter_table("speakers", recreate="always") as table:
        table.add_column(sa.Column("nickname", sa.String()))
"""


def test_a_migration_that_rebuilds_speakers_keeps_their_enrollments(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    create(store, "alice")
    done = enroll(store, "alice", 1, 2)
    store.close()
    ((head,),) = sqlite(path, "SELECT version_num FROM alembic_version")
    revisions = tmp_path / "100% mine"
    shutil.copytree(MIGRATIONS, revisions)
    (revisions / "versions" / "next.py").write_text(REBUILD_SPEAKERS.format(head=head))

    migrate(make_url(f"sqlite:///{path}"), MASTER, revisions)
    assert sqlite(path, "SELECT version_num, nickname FROM alembic_version, speakers") == [("next", None)]
    store = SqlSpeakerStore(Database(make_engine(make_url(f"sqlite:///{path}"))), Sealer(MASTER))
    assert store.list_enrollments(ME, "alice") == done.enrollments
    store.close()


def test_opening_again_changes_nothing(path: Path) -> None:
    opened(path).close()
    before = path.read_bytes()
    opened(path).close()
    assert path.read_bytes() == before


def test_opening_says_nothing(
    store_url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO):
        open_store(store_url, MASTER).close()
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


# Refusals


def test_a_newer_schema_is_refused(path: Path, postgres_url: str) -> None:
    opened(path).close()
    sqlite(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer release of Vouch"):
        opened(path)
    open_store(postgres_url, MASTER).close()
    executed(postgres_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer release of Vouch"):
        open_store(postgres_url, MASTER)


def test_rows_without_a_speaker_are_refused(path: Path) -> None:
    store = opened(path)
    create(store, "alice")
    enroll(store, "alice", 1)
    store.close()
    sqlite(path, "DELETE FROM speakers")
    with pytest.raises(StoreError, match="speakers that are not in it"):
        opened(path)


def test_a_file_that_is_no_database_is_refused_and_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are the wages of haste " * 100)
    with pytest.raises(StoreError, match=r"not a database\. Restore a backup"):
        opened(path)
    assert path.read_bytes().startswith(b"these are the wages")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("a word", "SQLAlchemy URL such as"),
        ("nosuch://user:hunter2@host/x", "SQLAlchemy URL such as"),
        ("sqlite://", "is no file"),
        ("sqlite:///:memory:", "is no file"),
        ("sqlite:///file:x?mode=memory&uri=true", "is no file"),
        ("oracle+cx_oracle://user:hunter2@host/x", "of a kind that Vouch does not know"),
    ],
)
def test_an_unusable_url_is_refused(url: str, message: str) -> None:
    with pytest.raises(StoreError, match=message) as raised:
        open_store(url, MASTER)
    assert "hunter2" not in str(raised.value)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be made"):
        opened(tmp_path / "file" / "vouch.db")


def test_a_failed_opening_leaves_the_lock_free(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database " * 100)
    with pytest.raises(StoreError, match="not a database"):
        opened(path)
    path.unlink()
    opened(path).close()


# Failures in use


def test_a_failure_inside_leaves_nothing(path: Path) -> None:
    opened(path).close()
    engine = make_engine(make_url(f"sqlite:///{path}"))
    store = SqlSpeakerStore(Database(engine), Sealer(MASTER))
    create(store, "alice")
    before = store.get_speaker(ME, "alice")

    @event.listens_for(engine, "before_cursor_execute")
    def fail(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        # The last step: the clips are inserted by then.
        if statement.startswith("INSERT INTO idempotency"):
            raise MemoryError("out of memory")

    with pytest.raises(MemoryError):
        store.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(1)] * 2, Idempotency("key", "print"))
    assert store.get_speaker(ME, "alice") == before
    assert store.list_enrollments(ME, "alice") == ()
    enroll(store, "alice", 1)
    assert store.get_speaker(ME, "alice").enrollment_count == 1
    store.close()


def test_a_refused_row_leaves_nothing_of_its_call(path: Path) -> None:
    store = opened(path)
    create(store, "alice")
    clip = new_enrollment(1)
    # SQLite stores NaN as NULL, which the column does not take.
    broken = replace(clip, quality=replace(clip.quality, speech_s=float("nan")))
    with pytest.raises(StoreError, match="refuses"):
        store.add_enrollments(ME, "alice", ENCODER_ID, [clip, broken])
    assert store.list_enrollments(ME, "alice") == ()
    store.close()


def test_a_broken_database_is_a_store_error(path: Path) -> None:
    store = opened(path)
    store.check()
    sqlite(path, "DROP TABLE enrollments", "DROP TABLE idempotency", "DROP TABLE speakers")
    with pytest.raises(StoreError, match="no such table: speakers"):
        store.check()
    with pytest.raises(StoreError, match="no such table: speakers"):
        create(store, "alice")
    store.close()


def test_an_error_tells_nothing_personal(path: Path) -> None:
    store = opened(path)
    sqlite(path, "CREATE TRIGGER no_more BEFORE INSERT ON speakers BEGIN SELECT RAISE(ABORT, 'no more'); END")
    with pytest.raises(StoreError, match="no more") as raised:
        store.create_speaker(ME, "bob", "Robert Very-Private", {"phone": "555-0123"}, None)
    told = f"{raised.value} {raised.value.__cause__}"
    assert "INSERT INTO speakers" in told
    assert "Private" not in told
    assert "555" not in told
    store.close()


BROKEN = {
    "NaN": np.full(16, np.nan, "<f4"),
    "infinite": np.full(16, np.inf, "<f4"),
    "zero": np.zeros(16, "<f4"),
    "short": np.ones(15, "<f4"),
    "a byte": np.ones(1, "u1"),
    "nothing": np.ones(0, "<f4"),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("n_clips", [1, 3])
def test_whatever_is_broken_keeps_nobody_else_out(
    path: Path, caplog: pytest.LogCaptureFixture, broken: NDArray[Any], n_clips: int
) -> None:
    """A batch leaves out whom `find_reference` refuses, among speakers of several clips and of another encoder's size."""
    store = opened(path)
    create(store, "alice", "bob", "carol", "dave")
    alone = n_clips == 1
    for name, seeds in (("alice", range(n_clips)), ("bob", range(5, 7)), ("carol", range(8, 9))):
        enroll(store, name, *seeds)
    store.add_enrollments(ME, "dave", "encoder-b", [new_enrollment(9, n_embedding=24)])
    last = "(SELECT max(seq) FROM enrollments WHERE speaker_id = 'alice')"
    resealed(path, broken.tobytes(), f"seq = {last}")

    found = speaker_ids(store, store.references())
    # A clip of another length alone is an embedding, of whatever encoder.
    is_sound = alone and len(broken) == 15
    assert sorted(found) == [(ME, name) for name in (["alice"] * is_sound + ["bob", "carol", "dave"])]
    assert ("Speaker number 1 " in caplog.text) == (not is_sound)
    store.close()


def test_a_broken_enrollment_keeps_nobody_else_out(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(path)
    create(store, "alice", "bob")
    enroll(store, "alice", 1)
    enroll(store, "bob", 2)
    resealed(path, np.full(16, np.nan, "<f4").tobytes(), "speaker_id = 'alice'")

    assert speaker_ids(store, store.references()) == [(ME, "bob")]
    assert f"number {store.get_speaker(ME, 'alice').number} " in caplog.text
    with pytest.raises(StoreError, match=r"'alice'.*give no reference"):
        store.find_reference(ME, "alice")
    store.close()


def test_a_long_cursor_number_is_refused(path: Path) -> None:
    store = opened(path)
    # "after 9999999999999999999", which no 64-bit column holds
    with pytest.raises(InvalidArgument, match="cursor"):
        store.list_speakers(ME, 1, "YWZ0ZXIgOTk5OTk5OTk5OTk5OTk5OTk5OQ==")
    store.close()
