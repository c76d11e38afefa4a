"""Callers side by side: how many there are, which clips they take, and what their time goes to."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from app.adapters.work_queue import ThreadWorkQueue
from app.cli_load import measure
from app.stages import stage


@pytest.mark.parametrize("n_callers", [1, 3])
def test_so_many_ask_at_once_and_each_waits_for_his_answer(n_callers: int) -> None:
    lock, seen = threading.Lock(), Counter[int]()
    running, most = 0, 0

    def request(number: int) -> None:
        nonlocal running, most
        with lock:
            seen[number] += 1
            running += 1
            most = max(most, running)
        with stage("decode"):
            pass
        with lock:
            running -= 1

    queue = ThreadWorkQueue(4, 8)
    measured = measure(queue, request, n_callers, seconds=0.2)
    queue.close()
    assert most <= n_callers == measured.n_callers
    assert set(seen.values()) == {1}  # no number twice
    assert set(range(n_callers)) <= set(seen)
    assert set(measured.stage_ms) == {"queue", "decode"}
    assert 0 < measured.p50_ms <= measured.p95_ms
    assert 0 < measured.per_second <= len(seen) / 0.2  # it took that long at the least


def test_a_request_that_fails_ends_it() -> None:
    def request(number: int) -> None:
        raise LookupError("none")

    queue = ThreadWorkQueue(1, 1)
    with pytest.raises(LookupError):
        measure(queue, request, 1, seconds=10)
    queue.close()
