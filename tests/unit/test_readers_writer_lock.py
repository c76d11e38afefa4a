"""Readers beside each other, a writer alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.adapters.readers_writer_lock import ReadersWriterLock


def test_readers_are_inside_together() -> None:
    lock = ReadersWriterLock()
    together = threading.Barrier(3)

    def read() -> None:
        with lock.reading():
            # Passes only while all three are inside.
            together.wait(timeout=10)

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(read) for _ in range(3)]:
            done.result(timeout=10)


def test_a_writer_is_inside_alone() -> None:
    lock = ReadersWriterLock()
    inside: list[str] = []
    n_rounds = 300

    def write() -> None:
        for _ in range(n_rounds):
            with lock.writing():
                assert inside == []
                inside.append("writer")
                inside.remove("writer")

    def read() -> None:
        for _ in range(n_rounds):
            with lock.reading():
                inside.append("reader")
                assert "writer" not in inside
                inside.remove("reader")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for work in (write, read, write, read)]:
            done.result(timeout=20)
    assert inside == []


def test_a_writer_waits_for_the_reader_inside() -> None:
    lock = ReadersWriterLock()

    def write() -> None:
        with lock.writing():
            pass

    with ThreadPoolExecutor(1) as pool:
        with lock.reading():
            written = pool.submit(write)
            with pytest.raises(TimeoutError):
                written.result(timeout=0.05)
        written.result(timeout=10)


@pytest.mark.parametrize("side", ["reading", "writing"])
def test_an_error_inside_lets_go(side: str) -> None:
    lock = ReadersWriterLock()
    with pytest.raises(KeyError), getattr(lock, side)():
        raise KeyError
    with lock.writing():
        pass
    with lock.reading():
        pass
