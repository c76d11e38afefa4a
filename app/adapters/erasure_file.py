"""The erasure log outside the database, for when an old copy of the database is put back, or the database is gone.

    64 hex digits: the mark   2026-01-31T12:00:00.000000Z   8 hex digits: CRC-32 of what stands before, and a newline

Lines have one length, so that room for one can be had before the erasure is committed: a disk that is full refuses the
erasure, and does not leave it done and unlogged. A line is written into its room after the commit, so that every line
stands for an erasure that happened.
"""

from __future__ import annotations

import logging
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.adapters.files import sync_folder, write_all
from app.errors import StoreError

_log = logging.getLogger(__name__)

ERASURE_FILE = "erasures.log"
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_LINE = re.compile(rb"([0-9a-f]{64} \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([0-9a-f]{8})\n")
LINE_BYTES = 64 + 1 + 27 + 1 + 8 + 1
_BLANK = b" " * (LINE_BYTES - 1) + b"\n"


@dataclass(frozen=True)
class Erasure:
    mark: str
    """64 hex digits; see erasures.py."""
    erased_at: datetime


class ErasureFile:
    """One process writes it: the one that owns the database."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Erasure]:
        """By mark. A damaged line is left out, with a line in the service's own log. Raises StoreError."""
        found, n_damaged = {}, 0
        try:
            data = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise self._cannot("read", error) from error
        for start in range(0, len(data), LINE_BYTES):
            line = data[start : start + LINE_BYTES]
            if (erasure := _erasure(line)) is not None:
                found[erasure.mark] = erasure
            elif line.strip():
                n_damaged += 1
        if n_damaged:
            _log.warning("the erasure log %s has %d damaged lines, which are left out", self.path, n_damaged)
        return found

    def append(self, erasures: Iterable[Erasure]) -> None:
        """Synced when it returns. Raises StoreError."""
        lines = b"".join(map(_line, erasures))
        if lines:
            self._append(lines)

    def reserve(self) -> int:
        """Room for one line, which nothing but a broken disk can refuse any more: its place. Raises StoreError."""
        return self._append(_BLANK)

    def fill(self, place: int, erasure: Erasure) -> None:
        """Writes a line into its room. Synced when it returns. Raises StoreError."""
        with self._opened() as number:
            write_all(number, _line(erasure), place)
            os.fsync(number)

    def _append(self, lines: bytes) -> int:
        is_new = not self.path.exists()
        with self._opened() as number:
            end = os.fstat(number).st_size
            # What was cut off half-way spoils its own line and no other.
            place = end + -end % LINE_BYTES
            write_all(number, b" " * (place - end) + lines, end)
            os.fsync(number)
            if is_new:
                sync_folder(self.path.parent)
        return place

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            number = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                yield number
            finally:
                os.close(number)
        except OSError as error:
            raise self._cannot("written", error) from error

    def _cannot(self, what: str, error: OSError) -> StoreError:
        return StoreError(
            f"The erasure log {self.path} cannot be {what} ({error.strerror}). Let this process read and write it, and "
            "see that the disk has space."
        )


def _line(erasure: Erasure) -> bytes:
    text = f"{erasure.mark} {erasure.erased_at.astimezone(UTC).strftime(_TIME)}".encode()
    return text + b" %08x\n" % zlib.crc32(text)


def _erasure(line: bytes) -> Erasure | None:
    match = _LINE.fullmatch(line)
    if match is None or zlib.crc32(match[1]) != int(match[2], 16):
        return None
    mark, time = match[1].decode().split()
    return Erasure(mark, datetime.strptime(time, _TIME).replace(tzinfo=UTC))
