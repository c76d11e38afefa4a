"""The bounded queue: order, refusal, release."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from app.adapters.work_queue import MAX_RETRY_AFTER_S, ThreadWorkQueue
from app.errors import Overloaded
from app.ports import CallerLeft
from app.stages import StageTimes, recording, stage

LeavesFunction = Callable[[], Coroutine[Any, Any, object]]


class Gate:
    """Work that waits until it is told to go on."""

    def __init__(self) -> None:
        self.has_begun = threading.Event()
        self._go_on = threading.Event()

    def __call__(self) -> str:
        self.has_begun.set()
        if not self._go_on.wait(timeout=20):
            raise TimeoutError("the gate was never opened")
        return "through"

    def open(self) -> None:
        self._go_on.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


def with_queue(n_workers: int, n_waiting: int, body: Callable[[ThreadWorkQueue], object]) -> None:
    queue = ThreadWorkQueue(n_workers, n_waiting)
    try:
        asyncio.run(body(queue))  # type: ignore[arg-type]  # a coroutine function
    finally:
        queue.close()


def test_work_runs_off_the_loop_and_its_errors_come_back() -> None:
    async def body(queue: ThreadWorkQueue) -> None:
        assert await queue.run(threading.get_ident) != threading.get_ident()
        with pytest.raises(ZeroDivisionError):
            await queue.run(lambda: 1 // 0)
        assert await queue.run(lambda: 7) == 7

    with_queue(1, 0, body)


def test_a_full_queue_refuses_at_once_and_has_room_again_afterwards(gate: Gate) -> None:
    async def body(queue: ThreadWorkQueue) -> None:
        tasks = [asyncio.create_task(queue.run(gate)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as caught:
            await queue.run(lambda: None)
        assert str(caught.value).startswith("All 3 places are taken: 1 at work and 2 waiting.")
        assert 1 <= caught.value.retry_after_s <= MAX_RETRY_AFTER_S
        with pytest.raises(Overloaded):
            queue.require_room()
        gate.open()
        assert await asyncio.gather(*tasks) == ["through"] * 3
        queue.require_room()
        assert await queue.run(lambda: 1) == 1

    with_queue(1, 2, body)


def test_a_caller_who_gives_up_waiting_gives_up_the_place(gate: Gate) -> None:
    async def body(queue: ThreadWorkQueue) -> None:
        working = asyncio.create_task(queue.run(gate))
        waiting = asyncio.create_task(queue.run(gate))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            queue.require_room()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        queue.require_room()
        gate.open()
        assert await working == "through"

    with_queue(1, 1, body)


def test_a_caller_who_gives_up_work_under_way_keeps_the_place_until_it_ends(gate: Gate) -> None:
    async def body(queue: ThreadWorkQueue) -> None:
        working = asyncio.create_task(queue.run(gate))
        await asyncio.to_thread(gate.has_begun.wait, 20)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        with pytest.raises(Overloaded):
            queue.require_room()
        gate.open()

    with_queue(1, 0, body)


def test_a_caller_who_leaves_while_waiting_is_dropped_with_all_that_the_work_holds(gate: Gate) -> None:
    class Upload:
        def __call__(self) -> str:
            raise AssertionError("nobody wants this any more")

    async def body(queue: ThreadWorkQueue) -> None:
        working = asyncio.create_task(queue.run(gate))
        left = asyncio.Event()
        upload = Upload()
        is_held = weakref.ref(upload)
        waiting = asyncio.create_task(queue.run(upload, left.wait))
        del upload
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            queue.require_room()
        left.set()
        with pytest.raises(CallerLeft):
            await waiting
        queue.require_room()
        del waiting
        await asyncio.sleep(0)  # until the loop lets go of the exception, which holds frames
        gc.collect()
        assert is_held() is None, "an upload outlives its caller in the threads' queue"
        gate.open()
        assert await working == "through"

    with_queue(1, 1, body)


def test_a_caller_who_leaves_work_under_way_gets_its_result(gate: Gate) -> None:
    async def body(queue: ThreadWorkQueue) -> None:
        left = asyncio.Event()
        working = asyncio.create_task(queue.run(gate, left.wait))
        await asyncio.to_thread(gate.has_begun.wait, 20)
        left.set()
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            queue.require_room()
        gate.open()
        assert await working == "through"

    with_queue(1, 0, body)


def test_a_caller_who_is_cancelled_while_watched_is_cancelled(gate: Gate) -> None:
    async def body(queue: ThreadWorkQueue) -> None:
        working = asyncio.create_task(queue.run(gate))
        waiting = asyncio.create_task(queue.run(gate, asyncio.Event().wait))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        queue.require_room()
        gate.open()
        assert await working == "through"
        assert len(asyncio.all_tasks()) == 1, "nobody watches any more"

    with_queue(1, 1, body)


def test_places_are_counted(gate: Gate) -> None:
    async def body(queue: ThreadWorkQueue) -> None:
        assert (queue.n_taken, queue.n_places) == (0, 3)
        tasks = [asyncio.create_task(queue.run(gate)) for _ in range(2)]
        await asyncio.sleep(0)
        assert (queue.n_taken, queue.n_places) == (2, 3)
        gate.open()
        await asyncio.gather(*tasks)
        assert queue.n_taken == 0

    with_queue(1, 2, body)


async def timed(times: StageTimes, queue: ThreadWorkQueue, work: Callable[[], object], *leaves: LeavesFunction) -> None:
    with recording(times):
        await queue.run(work, *leaves)


def test_waiting_is_the_stage_queue_of_whoever_waits_and_work_is_the_caller_s_own(gate: Gate) -> None:
    def encode() -> None:
        with stage("encode"):
            pass

    async def body(queue: ThreadWorkQueue) -> None:
        first, second = StageTimes(), StageTimes()
        before_s = time.perf_counter()
        working = asyncio.create_task(timed(first, queue, gate))
        await asyncio.to_thread(gate.has_begun.wait, 20)
        waiting = asyncio.create_task(timed(second, queue, encode))
        await asyncio.sleep(0)
        admitted_s = time.perf_counter()
        while time.perf_counter() - admitted_s < 0.005:
            await asyncio.sleep(0)
        waited_s = time.perf_counter() - admitted_s
        gate.open()
        await asyncio.gather(working, waiting)
        assert (list(first.seconds()), list(second.seconds())) == (["queue"], ["queue", "encode"])
        assert waited_s <= second.seconds()["queue"] <= time.perf_counter() - before_s
        assert first.seconds()["queue"] <= admitted_s - before_s

    with_queue(1, 1, body)


def test_whoever_leaves_has_waited_too(gate: Gate) -> None:
    async def body(queue: ThreadWorkQueue) -> None:
        times, left = StageTimes(), asyncio.Event()
        working = asyncio.create_task(queue.run(gate))
        waiting = asyncio.create_task(timed(times, queue, gate, left.wait))
        await asyncio.sleep(0)
        assert times.seconds() == {}
        left.set()
        with pytest.raises(CallerLeft):
            await waiting
        assert list(times.seconds()) == ["queue"]
        gate.open()
        await working

    with_queue(1, 1, body)


def test_closing_waits_for_work_under_way(gate: Gate) -> None:
    queue = ThreadWorkQueue(1, 0)
    ended = threading.Event()

    async def body() -> None:
        task = asyncio.create_task(queue.run(lambda: (gate(), ended.set())))
        await asyncio.to_thread(gate.has_begun.wait, 20)
        gate.open()
        await asyncio.to_thread(queue.close)
        assert ended.is_set()
        await task
        with pytest.raises(RuntimeError):
            await queue.run(lambda: None)

    asyncio.run(body())


def test_work_that_waited_too_long_is_not_done(gate: Gate) -> None:
    done: list[str] = []

    async def body() -> None:
        queue = ThreadWorkQueue(1, 5, max_wait_s=1e-9)
        try:
            # Both come too late, however soon the thread is there.
            tasks = [asyncio.create_task(queue.run(lambda: done.append("done"))) for _ in range(2)]
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(outcome, Overloaded)
                assert str(outcome).startswith(
                    "No worker was free within 1e-09 s (VOUCH_MAX_WAIT_S), so nothing was done."
                )
                assert outcome.retry_after_s >= 1
            assert not queue.n_taken
        finally:
            queue.close()

    asyncio.run(body())
    assert not done


def test_calls_side_by_side_run_at_once_where_workers_are_idle() -> None:
    meeting = threading.Barrier(3, timeout=20)  # nobody passes it alone

    async def body(queue: ThreadWorkQueue) -> None:
        calls = [lambda n=n: (meeting.wait(), n)[1] for n in range(3)]
        assert await queue.run(lambda: queue.side_by_side(calls)) == [0, 1, 2]

    with_queue(3, 0, body)


def test_calls_side_by_side_need_no_second_worker(gate: Gate) -> None:
    async def body(queue: ThreadWorkQueue) -> None:
        names = await queue.run(lambda: queue.side_by_side([lambda: threading.current_thread().name] * 5))
        assert len(names) == 5
        assert len(set(names)) == 1
        assert await queue.run(lambda: queue.side_by_side([])) == []

    with_queue(1, 0, body)


def test_work_side_by_side_never_waits_for_each_other() -> None:
    """As many pieces as there are workers, each with calls to share: nobody is left to share them with."""

    async def body(queue: ThreadWorkQueue) -> None:
        def work(n: int) -> list[int]:
            return queue.side_by_side([lambda k=k: 10 * n + k for k in range(4)])

        found = await asyncio.gather(*(queue.run(lambda n=n: work(n)) for n in range(40)))
        assert found == [[10 * n + k for k in range(4)] for n in range(40)]

    with_queue(2, 40, body)


def test_the_first_failure_is_raised_when_nothing_runs_any_more() -> None:
    running: list[int] = []
    both = threading.Barrier(2, timeout=20)

    def fail(n: int) -> None:
        running.append(n)
        both.wait()
        running.remove(n)
        raise KeyError(n)

    async def body(queue: ThreadWorkQueue) -> None:
        with pytest.raises(KeyError, match="0"):
            await queue.run(lambda: queue.side_by_side([lambda: fail(0), lambda: fail(1)]))
        assert not running

    with_queue(2, 0, body)


def test_after_a_failure_nothing_more_is_begun() -> None:
    begun: list[int] = []

    async def body(queue: ThreadWorkQueue) -> None:
        calls = [lambda: 1 // 0, *(lambda n=n: begun.append(n) for n in range(3))]
        with pytest.raises(ZeroDivisionError):
            await queue.run(lambda: queue.side_by_side(calls))

    with_queue(1, 0, body)
    assert not begun


def test_what_is_offered_runs_in_the_caller_s_context() -> None:
    whose: contextvars.ContextVar[str] = contextvars.ContextVar("whose")
    meeting = threading.Barrier(2, timeout=20)

    async def body(queue: ThreadWorkQueue) -> None:
        whose.set("mine")
        calls = [lambda: (meeting.wait(), whose.get())[1]] * 2
        assert await queue.run(lambda: queue.side_by_side(calls)) == ["mine", "mine"]

    with_queue(2, 0, body)
