"""Batches drawn ahead on threads, so that the device never waits for one; in order, whatever thread drew them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def prefetched(draw: Callable[[int], T], steps: range, n_threads: int = 2, n_ahead: int = 4) -> Iterator[Iterator[T]]:
    """draw(step) for each step, `n_ahead` of them ahead of whoever iterates. `draw` depends on the step alone."""
    with ThreadPoolExecutor(n_threads, thread_name_prefix="draw") as pool:
        waiting: deque[Future[T]] = deque()

        def results() -> Iterator[T]:
            upcoming = iter(steps)
            for step in upcoming:
                waiting.append(pool.submit(draw, step))
                if len(waiting) > n_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        try:
            yield results()
        finally:
            for future in waiting:
                future.cancel()
