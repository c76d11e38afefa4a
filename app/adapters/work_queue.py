"""A bounded queue before a fixed number of threads: full means an immediate refusal, never a growing wait."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
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
        self._waiting = stage("queue").begin()

    def __call__(self) -> T:
        self._waiting.end()
        work = self._work
        assert work is not None, "a piece that was let go of does not run"
        return self._context.run(work)

    def let_go(self, _: Future[T]) -> None:
        self._waiting.end()  # for those who left before it began: the longest waits of all
        self._work = None


class ThreadWorkQueue:
    """`n_workers` pieces of work run at once and `n_waiting` more may wait."""

    def __init__(self, n_workers: int, n_waiting: int) -> None:
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
        piece = _Piece(work)
        try:
            future = self._threads.submit(self._timed, piece)
        except RuntimeError:
            self._give_back()
            raise
        future.add_done_callback(self._give_back)
        future.add_done_callback(piece.let_go)
        if caller_leaves is None:
            return await asyncio.wrap_future(future)
        leaving = asyncio.ensure_future(caller_leaves())
        leaving.add_done_callback(lambda _: future.cancel())  # which work that has begun ignores
        return await _unless_left(future, leaving)

    def close(self) -> None:
        """Lets running work end and drops what waits."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _require_room(self) -> None:
        if self._n_taken < self._n_places:
            return
        rounds = self._n_taken / self._n_workers
        retry_after_s = min(MAX_RETRY_AFTER_S, max(1, math.ceil(rounds * self._mean_s)))
        raise Overloaded(
            f"All {self._n_places} places are taken: {self._n_workers} at work and "
            f"{self._n_places - self._n_workers} waiting. Try again in {retry_after_s} s, or raise VOUCH_WORKERS or "
            "VOUCH_QUEUE_SIZE.",
            retry_after_s=retry_after_s,
        )

    def _timed(self, work: Callable[[], T]) -> T:
        start_s = time.perf_counter()
        try:
            return work()
        finally:
            with self._lock:  # a moving mean, so that Retry-After follows the load
                self._mean_s += 0.1 * (time.perf_counter() - start_s - self._mean_s)

    def _give_back(self, _: Future[T] | None = None) -> None:
        with self._lock:
            self._n_taken -= 1


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
