"""The audit trail on disk: one file a day, to which lines are added and in which none is changed."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from app.adapters.audit_lines import TrailKeys, chained, entry_line, file_line
from app.adapters.audit_waiting import Waiting, WaitingEntries
from app.adapters.files import sync_file, sync_folder, write_all
from app.audit import AuditEntry
from app.errors import StoreError

_log = logging.getLogger(__name__)

AUDIT_FOLDER = "audit"
MAX_LINE_BYTES = 4096
"""No request id, tenant or key id is longer than 128 characters; a line takes a tenth of this."""
_NAME = re.compile(r"\d{4}-\d\d-\d\d\.jsonl")


def audit_files(folder: Path) -> list[Path]:
    """Oldest first. Raises OSError."""
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name)) if folder.is_dir() else []


class AuditFiles:
    """Fulfils `app.ports.AuditTrail`.

    Nothing is kept of the files between two entries, and each is added under a lock on the folder: processes that share the
    folder write one trail.
    """

    def __init__(self, folder: Path, keys: TrailKeys, keep_days: int, clock: Callable[[], datetime]) -> None:
        """Makes the folder; `keep_days` of 0 keeps every file. Raises StoreError."""
        self._folder = folder
        self._keys = keys
        self._keep_days = keep_days
        self._clock = clock
        self._waiting = WaitingEntries(self._add_first)
        self._newest = ""
        self._syncing = threading.Lock()
        self._unsynced: set[Path] = set()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._delete_old()
        except OSError as error:
            raise _cannot_write(folder, error) from error

    @property
    def n_unwritten(self) -> int:
        return len(self._waiting)

    def require_room(self) -> None:
        self._waiting.write_all()

    def write(self, entry: AuditEntry, *, is_synced: bool) -> None:
        if self._waiting.add(entry, is_synced=is_synced) and is_synced:
            self.sync()

    def sync(self) -> None:
        self._waiting.flush()
        with self._syncing:
            paths, self._unsynced = self._unsynced, set()
        for path in paths:
            try:
                sync_file(path)
            except OSError as error:
                _log.error("The audit trail %s cannot be synced (%s); a power cut may take its end.", path, error)

    def close(self) -> None:
        self.sync()

    def _add_first(self, waiting: Sequence[Waiting]) -> int:
        """Up to the first that the disk does not take."""
        n_added = 0
        try:
            with self._folder_locked():
                for one in waiting:
                    self._add(one.entry)
                    n_added += 1
        except OSError as error:
            if not n_added:
                raise _cannot_write(self._folder, error) from error
        return n_added

    def _add(self, entry: AuditEntry) -> None:
        """Whole, or not at all. Raises OSError."""
        path = self._file_of_today()
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            end = _end(number, path)
            begin = b"" if end else self._first_line(path)
            before = _line_before(number, end) if end else begin.removesuffix(b"\n")
            try:
                write_all(number, begin + chained(entry_line(entry, self._keys), before, self._keys), end)
            except OSError:
                os.ftruncate(number, end)
                raise
        finally:
            os.close(number)
        with self._syncing:
            self._unsynced.add(path)
        if begin:
            sync_folder(self._folder)
            self._delete_old()

    def _file_of_today(self) -> Path:
        """The newest one, also where the clock was put back: the order of the names is that of the lines."""
        name = f"{self._clock().astimezone(UTC):%Y-%m-%d}.jsonl"
        if name > self._newest:
            self._newest = max([name, *(path.name for path in audit_files(self._folder)[-1:])])
        return self._folder / self._newest

    def _first_line(self, path: Path) -> bytes:
        former = [one for one in audit_files(self._folder) if one != path]
        line_before = _last_line(former[-1]) if former else b""
        return chained(file_line(self._clock(), line_before), b"", self._keys)

    def _delete_old(self) -> None:
        if self._keep_days:
            first = self._clock().astimezone(UTC).date() - timedelta(days=self._keep_days)
            for path in audit_files(self._folder)[:-1]:  # the last one is what the next one follows
                if date.fromisoformat(path.stem) < first:
                    path.unlink()
                    _log.info("deleted the audit trail of %s, which was kept for %d days", path.stem, self._keep_days)

    @contextmanager
    def _folder_locked(self) -> Iterator[None]:
        number = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            yield
        finally:
            os.close(number)


def _end(number: int, path: Path) -> int:
    """Where the next line begins. What a power cut left of a line that was being written is cut off."""
    size = os.fstat(number).st_size
    if size == 0 or os.pread(number, 1, size - 1) == b"\n":
        return size
    start = max(0, size - MAX_LINE_BYTES)
    end = start + os.pread(number, size - start, start).rfind(b"\n") + 1
    _log.warning("the audit trail %s ended within a line, of which %d bytes are cut off", path, size - end)
    os.ftruncate(number, end)
    return end


def _line_before(number: int, end: int) -> bytes:
    """The line that ends at `end`, without its end; empty where there is none."""
    start = max(0, end - MAX_LINE_BYTES)
    return os.pread(number, end - start, start).removesuffix(b"\n").rpartition(b"\n")[2]


def _last_line(path: Path) -> bytes:
    number = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return _line_before(number, _end(number, path))
    finally:
        os.close(number)


def _cannot_write(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The audit trail in {folder} cannot be written ({error.strerror}). Let this process write there, and see that the "
        "disk has space."
    )
