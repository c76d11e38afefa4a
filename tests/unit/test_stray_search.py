"""A search finds what is there, wherever writers put it meanwhile; and what a transaction changes is known before its end."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from app.adapters.sqlite_pages import PageFile, journaled_pages
from app.adapters.stray_search import BLOCK_BYTES, StraySearch

NEEDLE = b"what was erased and has been left in a gap of a page"
PAGE_BYTES = 4096


class Wanted:
    """Finds the needle, and has something happen once the first block was read."""

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._meanwhile = meanwhile
        self.n_blocks = 0

    def are_in(self, block: bytes) -> bool:
        self.n_blocks += 1
        if self.n_blocks == 1:
            self._meanwhile()
        return NEEDLE in block


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vouch.db"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """To a file of three blocks."""
    with closing(sqlite3.connect(path, isolation_level=None)) as opened:
        opened.execute("PRAGMA secure_delete=ON")
        opened.execute("CREATE TABLE voices (seq INTEGER PRIMARY KEY, voice BLOB)")
        opened.execute("BEGIN")
        opened.executemany("INSERT INTO voices VALUES (NULL, ?)", [[bytes(1800)]] * (3 * BLOCK_BYTES // PAGE_BYTES * 2))
        opened.execute("COMMIT")
        yield opened


@pytest.fixture
def search(path: Path, connection: sqlite3.Connection) -> Iterator[StraySearch]:
    begun = StraySearch(path)
    begun.begin()
    yield begun
    connection.close()
    begun.close()


def write(
    connection: sqlite3.Connection, search: StraySearch, statement: str, *values: object, end: str = "COMMIT"
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(statement, values)
    search.note()
    connection.execute(end)
    if end == "ROLLBACK":
        search.note_taken_back()


UPDATE = "UPDATE voices SET voice = ? WHERE seq = "


def test_what_is_nowhere_is_not_found(search: StraySearch) -> None:
    wanted = Wanted()
    assert not search.finds(wanted)
    assert wanted.n_blocks > 3
    assert not search.finds_in_changed(wanted)


def test_what_lies_in_the_last_page_is_found(search: StraySearch, connection: sqlite3.Connection) -> None:
    write(connection, search, UPDATE + "(SELECT max(seq) FROM voices)", NEEDLE)
    assert search.finds(Wanted())


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_what_comes_to_a_page_that_was_read_is_found_among_the_changed(
    search: StraySearch, connection: sqlite3.Connection, end: str
) -> None:
    wanted = Wanted(lambda: write(connection, search, UPDATE + "1", NEEDLE, end=end))
    assert not search.finds(wanted)
    n_blocks = wanted.n_blocks
    assert search.finds_in_changed(wanted) == (end == "COMMIT")
    assert wanted.n_blocks - n_blocks <= 2, "only what changed is read again"


def test_what_is_appended_is_found_among_the_changed(search: StraySearch, connection: sqlite3.Connection) -> None:
    wanted = Wanted(lambda: write(connection, search, "INSERT INTO voices VALUES (NULL, ?)", NEEDLE + bytes(20_000)))
    assert not search.finds(wanted)
    assert search.finds_in_changed(wanted)


def test_what_comes_to_a_free_page_is_found_among_the_changed(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM voices WHERE seq < 60")
    search = StraySearch(path)
    search.begin()
    wanted = Wanted(lambda: write(connection, search, "INSERT INTO voices VALUES (NULL, ?)", bytes(9000) + NEEDLE))
    assert not search.finds(wanted)
    assert search.finds_in_changed(wanted)
    connection.close()
    search.close()


def test_after_a_write_that_was_not_noted_everything_is_read_again(
    search: StraySearch, connection: sqlite3.Connection
) -> None:
    wanted = Wanted(lambda: connection.execute(UPDATE + "1", [NEEDLE]))
    assert not search.finds(wanted)
    assert search.finds_in_changed(wanted)


@pytest.mark.parametrize("cache_pages", [5, 2000])
def test_journal_and_free_pages_tell_everything_that_a_transaction_changes(
    path: Path, connection: sqlite3.Connection, cache_pages: int
) -> None:
    """With a cache too small for the transaction, pages reach the file before its end."""
    rng = random.Random(cache_pages)
    connection.execute(f"PRAGMA cache_size={cache_pages}")
    connection.execute("CREATE INDEX by_voice ON voices (substr(voice, 1, 40))")
    file, n_free_used = PageFile(path), 0
    for _ in range(60):
        before, old = file.now(), path.read_bytes()
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(rng.randrange(1, 40)):
            if rng.random() < 0.55:
                connection.execute("DELETE FROM voices WHERE seq = ?", [rng.randrange(1, 500)])
            else:
                values = [rng.randrange(1, 500), rng.randbytes(rng.choice([20, 300, 1800, 9000]))]
                with suppress(sqlite3.IntegrityError):
                    connection.execute("INSERT INTO voices VALUES (?, ?)", values)
        noted = journaled_pages(path.with_name("vouch.db-journal"))
        is_kept = rng.random() < 0.6
        connection.execute("COMMIT" if is_kept else "ROLLBACK")
        after, new = file.now(), path.read_bytes()
        changed = {
            number
            for number in range(1, before.n_pages + 1)
            if old[(number - 1) * PAGE_BYTES : number * PAGE_BYTES]
            != new[(number - 1) * PAGE_BYTES : number * PAGE_BYTES]
        }
        assert changed <= noted | {1} | (before.free - after.free if is_kept else before.free)
        n_free_used += len(changed - noted)
    assert n_free_used > 1, "pages from the free list are in no journal"
    connection.close()
    file.close()
