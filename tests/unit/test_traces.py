"""Copies of secrets and of names are found wherever they lie, and nothing else is."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from app.adapters.traces import N_SHORTEST, Needles, Traces

RNG = random.Random(1)
SECRET = bytes(RNG.randrange(1, 256) for _ in range(92))


def block_with(run: bytes, place: int) -> bytes:
    """A page that is empty but for this."""
    page = bytearray(4096)
    page[place : place + len(run)] = run
    return bytes(page)


@pytest.mark.parametrize("place", [0, 1, 2003, 2004, 2005, 2006, 2007, 2008, 2009, 2010, 4096 - N_SHORTEST])
def test_any_run_of_a_secret_is_found_wherever_it_lies(place: int) -> None:
    needles = Needles([Traces([RNG.randbytes(60)]), Traces([SECRET])])
    for start in range(len(SECRET) - N_SHORTEST + 1):
        assert needles.are_in(block_with(SECRET[start : start + N_SHORTEST], place))


def test_shorter_runs_and_other_bytes_are_no_copies() -> None:
    needles = Needles([Traces([SECRET])])
    for start in range(0, len(SECRET) - N_SHORTEST, 5):
        for place in range(2000, 2008):
            assert not needles.are_in(block_with(SECRET[start : start + N_SHORTEST - 1], place))
    assert not needles.are_in(RNG.randbytes(2**20))
    assert not needles.are_in(bytes(4096))
    assert not needles.are_in(b"")


def test_nothing_is_found_of_no_traces() -> None:
    assert not Needles([]).are_in(block_with(SECRET, 100))
    assert not Needles([Traces(), Traces([b"short"])]).are_in(block_with(b"short", 100))


def database(path: Path, names: Sequence[str]) -> bytes:
    """Rows as the service's tables have them: a number, two texts and more; and an index of the texts."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE people (seq INTEGER PRIMARY KEY, tenant, name, note, UNIQUE (tenant, name))")
        connection.executemany("INSERT INTO people VALUES (NULL, 'default', ?, ?)", [(n, f"{n} notes") for n in names])
    return path.read_bytes()


@pytest.mark.parametrize("name", ["al", "alice", "speaker-12", "Zoë", "x" * 57, "x" * 58, "y" * 300])
def test_a_name_is_found_in_rows_and_indexes_and_its_beginnings_are_not(tmp_path: Path, name: str) -> None:
    needles = Needles([Traces(names=[("other", "somebody")]), Traces(names=[("default", name)])])
    others = [name[:-1], f"{name}0", f"{name}12", f"0{name}"]
    assert not needles.are_in(database(tmp_path / "others.db", others))
    assert needles.are_in(database(tmp_path / "all.db", [*others, name]))
    with closing(sqlite3.connect(tmp_path / "all.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("DELETE FROM people WHERE name = ?", [name])
    assert not needles.are_in((tmp_path / "all.db").read_bytes())


def test_a_name_is_found_in_each_of_its_places_alone(tmp_path: Path) -> None:
    """Once in the table and once in the index."""
    data, needles = database(tmp_path / "one.db", ["speaker-12"]), Needles([Traces(names=[("default", "speaker-12")])])
    text = b"defaultspeaker-12"
    assert data.count(text) == 2
    first = data.index(text)
    for place in (first, data.index(text, first + 1)):
        assert needles.are_in(bytes(4096) + data[place - 8 : place + len(text)].rjust(4096, b"\0"))
