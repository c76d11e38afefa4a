"""Seconds for each stage: whose they are, that they add up, and how they cross threads."""

from __future__ import annotations

import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.stages import STAGES, StageTimes, recording, stage

WORK_S = 0.002


def work() -> float:
    """Keeps the thread busy and returns for how many seconds at the least."""
    start_s = time.perf_counter()
    while (took_s := time.perf_counter() - start_s) < WORK_S:
        pass
    return took_s


def test_a_stage_takes_no_less_than_its_work_and_no_more_than_what_surrounds_it() -> None:
    times = StageTimes()
    start_s = time.perf_counter()
    with recording(times), stage("decode"):
        inside_s = work()
    outside_s = time.perf_counter() - start_s
    assert set(times.seconds()) == {"decode"}
    assert WORK_S <= inside_s <= times.seconds()["decode"] <= outside_s


def test_a_stage_that_happens_twice_adds_up() -> None:
    times = StageTimes()
    with recording(times):
        for _ in range(2):
            with stage("encode"):
                work()
    assert times.seconds()["encode"] >= 2 * WORK_S


def test_a_stage_inside_another_counts_for_both() -> None:
    times = StageTimes()
    with recording(times), stage("search"), stage("store"):
        work()
    assert times.seconds()["search"] >= times.seconds()["store"] >= WORK_S


def test_a_stage_that_fails_took_its_time_too() -> None:
    times = StageTimes()
    with recording(times), pytest.raises(ZeroDivisionError), stage("quality"):
        _ = work() / 0
    assert times.seconds()["quality"] >= WORK_S


def test_outside_of_a_request_nothing_is_recorded() -> None:
    times = StageTimes()
    with stage("decode"):
        pass
    with recording(times):
        pass
    with stage("encode"):
        pass
    assert times.seconds() == {}


def test_a_request_within_a_request_has_times_of_its_own() -> None:
    outer, inner = StageTimes(), StageTimes()
    with recording(outer):
        with recording(inner), stage("decode"):
            pass
        with stage("encode"):
            pass
    assert (list(inner.seconds()), list(outer.seconds())) == (["decode"], ["encode"])


def test_they_are_told_in_the_order_in_which_a_clip_meets_them() -> None:
    times = StageTimes()
    for name in reversed(STAGES):
        times.add(name, 1.0)
    assert list(times.seconds().items()) == [(name, 1.0) for name in STAGES]


def test_what_was_told_stays_as_it_was() -> None:
    times = StageTimes()
    times.add("decode", 1.0)
    told = times.seconds()
    times.add("decode", 1.0)
    assert (told, times.seconds()) == ({"decode": 1.0}, {"decode": 2.0})


def test_a_thread_in_a_copy_of_the_context_works_for_the_request_and_another_does_not() -> None:
    def decode() -> None:
        with stage("decode"):
            work()

    times = StageTimes()
    with recording(times), ThreadPoolExecutor(1) as threads:
        threads.submit(decode).result()
        assert times.seconds() == {}
        threads.submit(contextvars.copy_context().run, decode).result()
    assert times.seconds()["decode"] >= WORK_S


def test_threads_of_one_request_lose_nothing_of_each_other() -> None:
    n_threads, n_times = 8, 2000
    times, start = StageTimes(), threading.Barrier(n_threads)

    def add() -> None:
        start.wait()
        for _ in range(n_times):
            times.add("encode", 1.0)

    with ThreadPoolExecutor(n_threads) as threads:
        for future in [threads.submit(add) for _ in range(n_threads)]:
            future.result()
    assert times.seconds() == {"encode": float(n_threads * n_times)}


def test_a_stage_may_end_in_another_thread_and_ends_once() -> None:
    times = StageTimes()
    with recording(times):
        waiting = stage("queue").begin()
    inside_s = work()
    with ThreadPoolExecutor(1) as threads:
        threads.submit(waiting.end).result()
    ended = times.seconds()
    assert ended["queue"] >= inside_s
    work()
    waiting.end()
    assert times.seconds() == ended
