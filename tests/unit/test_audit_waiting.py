"""Entries on their way into a trail: in order, each once, and no thread makes a try that another made for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from app.adapters.audit_waiting import MAX_WAITING, Waiting, WaitingEntries
from app.errors import StoreError
from audit_trails import ENTRY


class Place:
    """Takes entries once it is open, at most two at a time."""

    def __init__(self) -> None:
        self.tries: list[int] = []
        self.taken: list[str | None] = []
        self.is_open = True
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.is_trying = threading.Event()

    def __call__(self, waiting: Sequence[Waiting]) -> int:
        self.tries.append(len(waiting))
        self.is_trying.set()
        assert self.may_go_on.wait(60)
        if not self.is_open:
            raise StoreError("The place is closed.")
        self.taken += [one.entry.request_id for one in waiting[:2]]
        return len(waiting[:2])


def in_threads(calls: Sequence[Callable[[], object]]) -> list[threading.Thread]:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    return threads


def adding(waiting: WaitingEntries, name: str) -> Callable[[], object]:
    return lambda: waiting.add(replace(ENTRY, request_id=name), is_synced=False)


def test_what_waited_is_written_in_order_and_once() -> None:
    place = Place()
    waiting = WaitingEntries(place)
    place.is_open = False
    assert [adding(waiting, str(n))() for n in range(5)] == [False] * 5
    with pytest.raises(StoreError, match="The place is closed"):
        waiting.write_all()
    place.is_open = True
    assert adding(waiting, "5")() is True
    assert place.taken == [str(n) for n in range(6)]
    assert len(waiting) == 0
    waiting.write_all()
    assert len(place.taken) == 6


def test_a_try_that_failed_is_not_made_again_by_everybody_who_waited_through_it() -> None:
    place = Place()
    waiting = WaitingEntries(place)
    place.is_open = False
    place.may_go_on.clear()
    threads = in_threads([adding(waiting, "first")])
    assert place.is_trying.wait(60)
    threads += in_threads([adding(waiting, str(n)) for n in range(20)])
    while len(waiting) < 21:
        threading.Event().wait(0.001)
    place.may_go_on.set()
    for thread in threads:
        thread.join()
    # The first one's own, and one by the first of those who came while it was made, for all of them.
    assert place.tries == [1, 21]
    assert len(waiting) == 21


def test_whoever_comes_during_a_write_goes_with_the_next() -> None:
    place = Place()
    waiting = WaitingEntries(place)
    place.may_go_on.clear()
    threads = in_threads([adding(waiting, "first")])
    assert place.is_trying.wait(60)
    threads += in_threads([adding(waiting, str(n)) for n in range(2)])
    while len(waiting) < 3:
        threading.Event().wait(0.001)
    place.may_go_on.set()
    for thread in threads:
        thread.join()
    assert place.tries == [1, 2]
    assert sorted(map(str, place.taken)) == ["0", "1", "first"]


def test_an_entry_is_refused_only_when_too_many_wait() -> None:
    place = Place()
    waiting = WaitingEntries(place)
    place.is_open = False
    logging.disable(logging.ERROR)
    try:
        for n in range(MAX_WAITING):
            adding(waiting, str(n))()
        with pytest.raises(StoreError, match="The place is closed"):
            adding(waiting, "one more")()
    finally:
        logging.disable(logging.NOTSET)
    place.is_open = True
    waiting.flush()
    assert place.taken == [str(n) for n in range(MAX_WAITING)]
