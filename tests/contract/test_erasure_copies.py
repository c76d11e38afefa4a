"""An older copy of a PostgreSQL database is put back: what was erased since is erased again, told by a file or the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sqlalchemy import create_engine, make_url, text

from app.adapters.erasure_copies import Applied, Exported, apply_erasures, export_erasures
from app.adapters.erasure_file import ERASURE_FILE, ErasureFile
from app.errors import StoreError
from app.records import DEFAULT_TENANT as ME
from app.settings import Settings
from kept_stores import has, kept_store
from samples import create, enroll


@contextmanager
def restored(postgres: PostgresServer, url: str) -> Iterator[str]:
    """The URL of a copy as this database is now."""
    with postgres.database(template=str(make_url(url).database)) as copy:
        yield copy


def settings(folder: Path, url: str | None) -> Settings:
    return Settings(data_dir=folder, database_url=url)


def execute(url: str, statement: str) -> list[str]:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return [str(row[0]) for row in result] if result.returns_rows else []
    finally:
        engine.dispose()


SOURCES: dict[str, Callable[[Path, str], str]] = {
    "a file": lambda folder, _: str(folder / "erasures"),
    "the database": lambda _, url: url,
}


@pytest.mark.parametrize("source", SOURCES)
def test_whoever_came_back_is_erased_again_and_nobody_else(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path, source: str
) -> None:
    with kept_store(tmp_path, postgres_url) as store:
        create(store, "alice", "bob", "carol")
        clips = enroll(store, "bob", 1, 2).enrollments
    with restored(postgres, postgres_url) as copy:
        execute(copy, "INSERT INTO deployment VALUES ('gallery', 'pgvector')")
        with kept_store(tmp_path, postgres_url) as store:
            store.erase_speaker(ME, "alice")
            store.remove_enrollment(ME, "bob", clips[0].enrollment_id)
        assert export_erasures(settings(tmp_path, postgres_url), tmp_path / "erasures") == Exported(2, 2)
        asked = SOURCES[source](tmp_path, postgres_url)

        assert apply_erasures(settings(tmp_path, copy), asked) == Applied(2, 2, 2)
        with kept_store(tmp_path, copy) as store:
            assert [has(store, name) for name in ("alice", "bob", "carol")] == [False, True, True]
            assert [one.enrollment_id for one in store.list_enrollments(ME, "bob")] == [clips[1].enrollment_id]
        assert execute(copy, "SELECT value FROM deployment") == [], "what replicas agreed on is agreed on anew"
        assert apply_erasures(settings(tmp_path, copy), asked) == Applied(2, 0, 0)


def test_an_export_adds_and_takes_nothing_out(postgres: PostgresServer, postgres_url: str, tmp_path: Path) -> None:
    file = tmp_path / "erasures"
    with kept_store(tmp_path, postgres_url) as store:
        create(store, "alice", "bob")
    with restored(postgres, postgres_url) as copy:
        with kept_store(tmp_path, postgres_url) as store:
            store.erase_speaker(ME, "alice")
            # Beside the service that has the database.
            assert export_erasures(settings(tmp_path, postgres_url), file) == Exported(1, 1)
            assert export_erasures(settings(tmp_path, postgres_url), file) == Exported(1, 0)
        with kept_store(tmp_path, copy) as store:
            store.erase_speaker(ME, "bob")
        assert export_erasures(settings(tmp_path, copy), file) == Exported(2, 1)
    assert len(ErasureFile(file).read()) == 2
    assert b"alice" not in file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600


def test_another_service_s_erasures_mean_nobody_here(
    postgres: PostgresServer, postgres_url: str, tmp_path: Path
) -> None:
    with postgres.database() as other:
        for url in (postgres_url, other):
            with kept_store(tmp_path, url) as store:
                create(store, "alice")
        with pytest.raises(StoreError, match="the database of another service"):
            apply_erasures(settings(tmp_path, postgres_url), other)
    with pytest.raises(StoreError, match="There is no file"):
        apply_erasures(settings(tmp_path, postgres_url), str(tmp_path / "nowhere"))


def test_on_sqlite_the_file_is_the_log_beside_the_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="There is no database yet"):
        export_erasures(settings(tmp_path, None), tmp_path / "copy")
    with kept_store(tmp_path) as store:
        create(store, "alice")
        store.erase_speaker(ME, "alice")
        export_erasures(settings(tmp_path, None), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / ERASURE_FILE).read_bytes()
    assert apply_erasures(settings(tmp_path, None), str(tmp_path / "copy")) == Applied(1, 0, 0)
