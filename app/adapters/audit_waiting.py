"""Entries of the audit trail on their way to where they are kept: in order, and in memory while that takes none."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from app.audit import AuditEntry
from app.errors import StoreError

_log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Entries that may wait for a disk or a database that takes them."""
N_AT_ONCE = 1000


@dataclass(frozen=True)
class Waiting:
    entry: AuditEntry
    is_synced: bool
    """Whether it is to outlive a power cut once it is written."""


class WaitingEntries:
    """One thread writes at a time. What comes meanwhile goes with the next, and of threads that waited through one try that
    failed none makes another: each would last as long as the first.
    """

    def __init__(self, write: Callable[[Sequence[Waiting]], int]) -> None:
        """`write` is given the first of those that wait, writes one or more from the beginning, and says how many. It raises
        StoreError where it wrote none.
        """
        self._write = write
        self._waiting: deque[Waiting] = deque()
        self._changing = threading.Lock()
        self._writing = threading.Lock()
        self._n_added = self._n_written = self._n_tries = 0
        self._failure: StoreError | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, entry: AuditEntry, *, is_synced: bool) -> bool:
        """Whether it is written; if not, it waits, and the log says why. Raises StoreError when too many wait."""
        if len(self._waiting) >= MAX_WAITING:
            self.write_all()
        with self._changing:
            self._waiting.append(Waiting(entry, is_synced))
            self._n_added += 1
            n_added, n_tries = self._n_added, self._n_tries
        try:
            self._write_up_to(n_added, n_tries)
        except StoreError as error:
            _log.error("%s It waits in memory.", error)
            return False
        return True

    def write_all(self) -> None:
        """All that wait now. Raises StoreError where one of them goes on waiting."""
        with self._changing:
            n_added, n_tries = self._n_added, self._n_tries
        self._write_up_to(n_added, n_tries)

    def flush(self) -> None:
        """As `write_all`; where one goes on waiting, the log says so."""
        try:
            self.write_all()
        except StoreError as error:
            _log.error("%s %d entries wait.", error, len(self))

    def _write_up_to(self, n_added: int, n_tries: int) -> None:
        """The first `n_added` that there ever were, by whoever comes; `n_tries` had been made when this was asked for."""
        with self._writing:
            while self._n_written < n_added:
                if self._failure is not None and self._n_tries > n_tries:
                    raise StoreError(str(self._failure)) from self._failure
                self._try()

    def _try(self) -> None:
        with self._changing:
            self._n_tries += 1
            first = tuple(islice(self._waiting, N_AT_ONCE))
        try:
            n_written = self._write(first)
        except StoreError as error:
            self._failure = error
            raise
        self._failure = None
        with self._changing:
            for _ in range(n_written):
                self._waiting.popleft()
            self._n_written += n_written
