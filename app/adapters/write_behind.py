"""Writes that no answer waits for: what comes within a second goes to the database together, in one commit for all."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from app.errors import StoreError

_log = logging.getLogger(__name__)

_T = TypeVar("_T")

DELAY_S = 1.0
"""What a kill may lose."""
N_MAX_WAITING = 10_000
"""While the database takes nothing; past it the oldest are lost."""


class WriteBehind(Generic[_T]):
    """Hands on what it was given, `DELAY_S` after the first of it, on a thread that starts when it is needed.

    What could not be written waits for the next time. Threads may call it at once.
    """

    def __init__(self, what: str, write: Callable[[Sequence[_T]], None], delay_s: float = DELAY_S) -> None:
        """`write` raises StoreError where another try may help. `what` is written, in the plural, for the log."""
        self._what, self._write, self._delay_s = what, write, delay_s
        self._waiting: deque[_T] = deque(maxlen=N_MAX_WAITING)
        self._changed = threading.Condition()
        self._writing = threading.Lock()
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def put(self, item: _T) -> None:
        with self._changed:
            self._waiting.append(item)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"write {self._what}", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def waiting(self) -> tuple[_T, ...]:
        """What was not written yet, oldest first; it stays until that is committed."""
        with self._changed:
            return tuple(self._waiting)

    def discard(self, is_unwanted: Callable[[_T], bool]) -> None:
        with self._changed:
            self._keep(lambda item: not is_unwanted(item))

    def write_now(self) -> None:
        """All that waits. What fails is logged."""
        with self._writing:
            items = self.waiting()
            if not items:
                return
            try:
                self._write(items)
            except StoreError as error:
                _log.warning("%d %s could not be written, and wait: %s", len(items), self._what, error)
                return
            except Exception:
                # A mistake of ours, which another try would repeat.
                _log.exception("%d %s could not be written, and are lost", len(items), self._what)
            written = set(map(id, items))
            with self._changed:
                self._keep(lambda item: id(item) not in written)

    def close(self) -> None:
        """Writes the rest."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self.write_now()

    def _keep(self, is_kept: Callable[[_T], bool]) -> None:
        self._waiting = deque(filter(is_kept, self._waiting), maxlen=N_MAX_WAITING)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                if self._changed.wait_for(lambda: self._is_closing, self._delay_s):
                    return
            self.write_now()
