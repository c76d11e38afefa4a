"""A bounded queue before a fixed number of threads: full means an immediate refusal, never a growing wait."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeVar

from app.errors import Overloaded
from app.ports import CallerLeft
from app.stages import stage

T = TypeVar("T")

MAX_RETRY_AFTER_S = 60


class _Piece(Generic[T]):
    """Work that can be let go of: the threads' own queue keeps what was cancelled until a thread comes to it, and the
    work holds the caller's upload.

    It runs in the context that it was made in, so that its stages are the caller's.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work
        self._context = contextvars.copy_context()

    def __call__(self) -> T:
        work = self._work
        assert work is not None, "a piece that was let go of does not run"
        return self._context.run(work)

    def let_go(self, _: Future[T]) -> None:
        self._work = None


class ThreadWorkQueue:
    """`n_workers` pieces of work run at once and `n_waiting` more may wait, each for `max_wait_s` at most."""

    def __init__(self, n_workers: int, n_waiting: int, max_wait_s: float = math.inf) -> None:
        self._max_wait_s = max_wait_s
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="encoder")
        self._n_workers = n_workers
        self._n_places = n_workers + n_waiting
        self._n_taken = 0
        self._mean_s = 1.0
        self._lock = threading.Lock()

    @property
    def n_places(self) -> int:
        return self._n_places

    @property
    def n_taken(self) -> int:
        with self._lock:
            return self._n_taken

    def require_room(self) -> None:
        """Raises Overloaded when every place is taken. A place that is free now may be gone when it is wanted."""
        with self._lock:
            self._require_room()

    async def run(
        self, work: Callable[[], T], caller_leaves: Callable[[], Coroutine[Any, Any, object]] | None = None
    ) -> T:
        """Runs `work` on a worker thread. A caller who is cancelled or leaves gives up a place that has not begun."""
        with self._lock:
            self._require_room()
            self._n_taken += 1
        piece, waiting = _Piece(work), stage("queue").begin()
        try:
            future = self._threads.submit(self._in_time, piece, waiting, time.monotonic() + self._max_wait_s)
        except RuntimeError:
            self._give_back()
            raise
        future.add_done_callback(self._give_back)
        future.add_done_callback(piece.let_go)
        future.add_done_callback(lambda _: waiting.end())  # of those who left before it began: the longest waits of all
        if caller_leaves is None:
            return await asyncio.wrap_future(future)
        leaving = asyncio.ensure_future(caller_leaves())
        leaving.add_done_callback(lambda _: future.cancel())  # which work that has begun ignores
        return await _unless_left(future, leaving)

    def side_by_side(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """Offers all but the first call to the other workers, and does itself what none of them has begun by then.

        So nobody waits for a worker while he is one, two pieces of work can never wait for each other, and no more
        threads are at work than there are workers.
        """
        pieces = [_Piece(call) for call in calls[1:]]
        offered = [self._threads.submit(piece) for piece in pieces]
        for future, piece in zip(offered, pieces, strict=True):
            future.add_done_callback(piece.let_go)
        ended: list[Future[T]] = []
        for number, call in enumerate(calls):
            if number and not offered[number - 1].cancel():
                wait([offered[number - 1]])
                ended.append(offered[number - 1])
            elif all(other.exception() is None for other in ended):  # after a failure nothing more is begun
                ended.append(_outcome(call))
        return [outcome.result() for outcome in ended]

    def close(self) -> None:
        """Lets running work end and drops what waits."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _require_room(self) -> None:
        if self._n_taken < self._n_places:
            return
        retry_after_s = self._retry_after_s()
        raise Overloaded(
            f"All {self._n_places} places are taken: {self._n_workers} at work and "
            f"{self._n_places - self._n_workers} waiting. Try again in {retry_after_s} s, or raise VOUCH_WORKERS or "
            "VOUCH_QUEUE_SIZE.",
            retry_after_s=retry_after_s,
        )

    def _retry_after_s(self) -> int:
        rounds = self._n_taken / self._n_workers
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(rounds * self._mean_s)))

    def _in_time(self, work: Callable[[], T], waiting: stage, deadline_s: float) -> T:
        waiting.end()
        if time.monotonic() > deadline_s:
            raise Overloaded(
                f"No worker was free within {self._max_wait_s:g} s (VOUCH_MAX_WAIT_S), so nothing was done. Try again "
                "later, or raise VOUCH_WORKERS.",
                retry_after_s=self._retry_after_s(),
            )
        start_s = time.perf_counter()
        try:
            return work()
        finally:
            with self._lock:  # a moving mean, so that Retry-After follows the load
                self._mean_s += 0.1 * (time.perf_counter() - start_s - self._mean_s)

    def _give_back(self, _: Future[T] | None = None) -> None:
        with self._lock:
            self._n_taken -= 1


def _outcome(call: Callable[[], T]) -> Future[T]:
    """What a call on this thread gave or raised, to be looked at when the others have ended too."""
    outcome: Future[T] = Future()
    try:
        outcome.set_result(call())
    except Exception as error:
        outcome.set_exception(error)
    return outcome


async def _unless_left(future: Future[T], leaving: asyncio.Future[object]) -> T:
    """The result. Raises CallerLeft where `leaving` was first, and CancelledError where the awaiting task is cancelled."""
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if leaving.done() and task is not None and not task.cancelling():
            raise CallerLeft("The caller left before the work began.") from None
        raise
    finally:
        leaving.cancel()
