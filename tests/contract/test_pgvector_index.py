"""The index of the references: there is one, it is the one that is used, and a half-made one is made anew."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.schema import CreateIndex

from app.adapters.database import Database, open_database
from app.adapters.gallery_choice import choose_gallery
from app.adapters.pgvector_gallery import RECOUNT_S
from app.adapters.pgvector_index import IndexMaker, vector_index
from app.adapters.pgvector_references import make_references
from app.records import DEFAULT_TENANT as ME
from galleries import Planted, planted
from samples import ENCODER_ID, MASTER, N_EMBEDDING, batch, random_embeddings, references

NAME = f"ix_speaker_references_{ENCODER_ID}"
QUOTED = "a\"b'c"
"""As no encoder is called, and as nothing may be run."""


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    with closing(open_database(postgres_url, MASTER)) as opened:
        with opened.writing() as connection:
            make_references(connection)
        yield opened


def states(connection: Connection) -> dict[str, bool]:
    """Whether each index of vectors is valid, by name."""
    found = text(
        "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam "
        "WHERE amname = 'hnsw'"
    )
    return {row.relname: row.indisvalid for row in connection.execute(found)}


def made(database: Database, encoder_id: str = ENCODER_ID) -> dict[str, bool]:
    maker = IndexMaker(database, encoder_id, N_EMBEDDING)
    maker.start()
    maker.wait()
    with database.reading() as connection:
        return states(connection)


def test_it_is_made_once(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert made(database) == {NAME: True}
    assert made(database) == {NAME: True}
    assert caplog.text.count("made the index of the references") == 1
    assert made(database, QUOTED) == {NAME: True, f"ix_speaker_references_{QUOTED}": True}


def test_one_that_was_cut_off_is_made_anew(database: Database) -> None:
    with database.without_transaction() as connection:
        connection.execute(CreateIndex(vector_index(ENCODER_ID, N_EMBEDDING)))
        connection.execute(text(f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '\"{NAME}\"'::regclass"))
        assert states(connection) == {NAME: False}
    assert made(database) == {NAME: True}


def test_where_processes_cannot_share_memory_one_makes_it(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with database.without_transaction() as connection:
        engine = connection.engine
    n_failures = 0

    @event.listens_for(engine, "before_cursor_execute")
    def fail_at_first(connection, cursor, statement, *_: object) -> None:  # type: ignore[no-untyped-def]
        nonlocal n_failures
        if statement.startswith("CREATE INDEX") and not n_failures:
            n_failures += 1
            reason = RuntimeError("could not resize shared memory segment: No space left on device")
            raise OperationalError(statement, {}, reason) from reason

    assert made(database) == {NAME: True}
    assert "is made by one process, not by several: could not resize shared memory" in caplog.text


def test_whoever_has_many_speakers_is_searched_by_it(database: Database) -> None:
    gallery: Planted = planted(database, exact_up_to=50)
    statements: list[str] = []
    with database.reading() as connection:
        engine = connection.engine

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection, cursor, statement, *_: object) -> None:  # type: ignore[no-untyped-def]
        statements.append(statement)

    embeddings = random_embeddings(1, 200)
    for n_speakers, is_indexed in ((50, False), (200, True)):
        gallery.rebuild([batch(references(embeddings[:n_speakers]))])
        statements.clear()
        assert gallery.search(ME, embeddings[3], 5)[0].number == 3
        assert any("hnsw.ef_search" in str(one) or "set_config" in one for one in statements) == is_indexed
        (search,) = [one for one in statements if "<#>" in one]
        assert (f"AS HALFVEC({N_EMBEDDING})" in search) == is_indexed
    with database.reading() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        connection.execute(text("SET LOCAL enable_sort = off"))
        plan = connection.execute(
            text(
                f"EXPLAIN SELECT speaker_seq FROM speaker_references WHERE encoder_id = '{ENCODER_ID}' AND tenant = '{ME}' "
                f"ORDER BY CAST(embedding AS halfvec({N_EMBEDDING})) <#> '{embeddings[0].tolist()}' LIMIT 5"
            )
        )
        assert NAME in "\n".join(line for (line,) in plan)


def test_how_many_there_are_is_counted_now_and_then(database: Database) -> None:
    now_s = [0.0]
    with database.writing() as connection:
        choose_gallery(connection, "pgvector")
    gallery = Planted(database, ENCODER_ID, N_EMBEDDING, 0.0, 5, clock=lambda: now_s[0])
    everybody = references(random_embeddings(1, 10))
    gallery.rebuild([batch(everybody[:8])])
    assert gallery.size(ME) == 8
    for one in everybody[8:]:
        gallery.upsert(one)
    assert gallery.size(ME) == 8, "as it was a while ago"
    now_s[0] += RECOUNT_S
    assert gallery.size(ME) == 10
    gallery.remove(ME, range(7))
    now_s[0] += RECOUNT_S
    assert gallery.size(ME) == 3
    gallery.remove(ME, [7])
    assert gallery.size(ME) == 2, "few are counted each time"


def test_a_small_share_of_a_large_table_is_scanned(database: Database) -> None:
    """An index of all tenants would pass over too many others."""
    gallery = planted(database, exact_up_to=10)
    gallery.rebuild([batch(references(random_embeddings(1, 100)))])
    scanned: list[bool] = []
    with database.reading() as connection:
        engine = connection.engine

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection, cursor, statement, *_: object) -> None:  # type: ignore[no-untyped-def]
        if "<#>" in statement:
            scanned.append(f"AS HALFVEC({N_EMBEDDING})" not in statement)

    for n_all in (50, 51, 10**8):
        with database.writing() as connection:
            reltuples = {"n": n_all}
            connection.execute(
                text("UPDATE pg_class SET reltuples = :n WHERE oid = 'speaker_references'::regclass"), reltuples
            )
        gallery.search(ME, random_embeddings(2, 1)[0], 5)
    assert scanned == [True, True, True]
    with database.writing() as connection:
        connection.execute(text("UPDATE pg_class SET reltuples = 49 WHERE oid = 'speaker_references'::regclass"))
    gallery.search(ME, random_embeddings(2, 1)[0], 5)
    assert scanned[-1] is False, "sqrt(200 * 49) is 98, and there are 100"
