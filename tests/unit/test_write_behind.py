"""Writes that nobody waits for: none is lost but by a kill, and none is written that was taken back."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing

import pytest

from app.adapters.write_behind import WriteBehind
from app.errors import StoreError

SOON_S = 0.01
NEVER_S = 3600.0
PATIENCE_S = 20.0


class Written:
    """Notes what it was given to write; fails as often as it is told to."""

    def __init__(self, failures: Sequence[Exception] = ()) -> None:
        self.batches: list[list[str]] = []
        self.has_come = threading.Event()
        self._failures = list(failures)

    def __call__(self, items: Sequence[str]) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self.batches.append(list(items))
        self.has_come.set()


def test_what_was_put_is_written_soon_and_in_its_order() -> None:
    written = Written()
    with closing(WriteBehind("letters", written, SOON_S)) as behind:
        behind.put("a")
        behind.put("b")
        assert written.has_come.wait(PATIENCE_S)
    assert [letter for batch in written.batches for letter in batch] == ["a", "b"]
    assert behind.waiting() == ()


def test_what_waits_at_the_close_is_written_together() -> None:
    written = Written()
    with closing(WriteBehind("letters", written, NEVER_S)) as behind:
        for letter in "abc":
            behind.put(letter)
        assert behind.waiting() == ("a", "b", "c")
        assert written.batches == []
    assert written.batches == [["a", "b", "c"]]


def test_what_was_discarded_is_not_written() -> None:
    written = Written()
    with closing(WriteBehind("letters", written, NEVER_S)) as behind:
        for letter in "abc":
            behind.put(letter)
        behind.discard(lambda letter: letter == "b")
    assert written.batches == [["a", "c"]]


def test_what_is_being_written_is_still_seen_and_what_comes_meanwhile_stays() -> None:
    seen: list[tuple[str, ...]] = []

    def write(items: Sequence[str]) -> None:
        if len(seen) == 0:
            behind.put("late")
        seen.append(behind.waiting())

    behind = WriteBehind[str]("letters", write, NEVER_S)
    behind.put("early")
    behind.write_now()
    assert seen == [("early", "late")]
    assert behind.waiting() == ("late",)
    behind.close()
    assert seen == [("early", "late"), ("late",)]


def test_a_database_that_takes_nothing_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    written = Written([StoreError("It is full."), StoreError("It is full.")])
    with closing(WriteBehind("letters", written, SOON_S)) as behind:
        behind.put("a")
        assert written.has_come.wait(PATIENCE_S)
    assert written.batches == [["a"]]
    assert caplog.text.count("1 letters could not be written, and wait: It is full.") == 2


def test_a_mistake_of_ours_is_logged_and_stops_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    written = Written([ZeroDivisionError()])
    with closing(WriteBehind("letters", written, NEVER_S)) as behind:
        behind.put("a")
        behind.write_now()
        assert behind.waiting() == ()
        behind.put("b")
    assert written.batches == [["b"]]
    assert "1 letters could not be written, and are lost" in caplog.text


def test_closing_what_was_never_used_writes_nothing() -> None:
    written = Written()
    WriteBehind("letters", written).close()
    assert written.batches == []
