"""Many readers at once, or one writer alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ReadersWriterLock:
    """Not reentrant. Whoever comes while a writer waits or works queues behind it, reader and writer alike."""

    def __init__(self) -> None:
        self._turnstile = threading.Lock()
        self._left = threading.Condition()
        self._n_readers = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._turnstile, self._left:
            self._n_readers += 1
        try:
            yield
        finally:
            with self._left:
                self._n_readers -= 1
                self._left.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._turnstile:
            with self._left:
                self._left.wait_for(lambda: not self._n_readers)
            yield
