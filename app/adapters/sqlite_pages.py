"""A SQLite file as pages, and which of them a transaction changes (https://sqlite.org/fileformat2.html)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

_HEADER = struct.Struct(">16xH6xI4xI")
_JOURNAL_HEADER = struct.Struct(">8xI8xII")
_NUMBER = struct.Struct(">I")
_UNSYNCED = (0, 2**32 - 1)
"""Numbers of records in the header of a journal that say: to the end."""


@dataclass(frozen=True)
class PagesNow:
    """Of a file that nobody is writing to."""

    page_bytes: int
    n_pages: int
    n_changes: int
    """One more with every transaction that wrote."""
    free: frozenset[int]
    """Numbers of the pages that belong to no table, from 1."""


class PageFile:
    """Reads beside SQLite.

    To be closed after all of SQLite's own connections: closing any descriptor of a file gives up every lock that the
    process has on it.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def now(self) -> PagesNow:
        """Raises ValueError where the file is none of SQLite's."""
        header = os.pread(self._file, _HEADER.size, 0)
        if len(header) < _HEADER.size:
            raise ValueError("a SQLite file has a header")
        page_bytes, n_changes, first_trunk = _HEADER.unpack(header)
        page_bytes = 65536 if page_bytes == 1 else page_bytes
        n_pages = os.fstat(self._file).st_size // page_bytes
        return PagesNow(page_bytes, n_pages, n_changes, self._free_pages(first_trunk, page_bytes, n_pages))

    def read(self, first: int, n_pages: int, page_bytes: int) -> bytes:
        """Fewer where the file ends. A page that is being written may be half of each."""
        return os.pread(self._file, n_pages * page_bytes, (first - 1) * page_bytes)

    def close(self) -> None:
        os.close(self._file)

    def _free_pages(self, trunk: int, page_bytes: int, n_pages: int) -> frozenset[int]:
        free: set[int] = set()
        while trunk and trunk not in free and trunk <= n_pages:
            page = self.read(trunk, 1, page_bytes)
            following, n_leaves = struct.unpack_from(">II", page)
            free.add(trunk)
            free.update(struct.unpack_from(f">{min(n_leaves, page_bytes // 4 - 2)}I", page, 8))
            trunk = following
        return frozenset(free)


def journaled_pages(journal: Path) -> set[int]:
    """Numbers of the pages that the transaction under way has changed: all but those that it took from the free list or
    appended. Raises ValueError for what is no journal.
    """
    try:
        file = os.open(journal, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # nothing was changed
        return set()
    try:
        return _journaled(file, os.fstat(file).st_size)
    finally:
        os.close(file)


def _journaled(file: int, n_bytes: int) -> set[int]:
    pages: set[int] = set()
    place = 0
    while place + _JOURNAL_HEADER.size <= n_bytes:
        n_records, sector_bytes, page_bytes = _JOURNAL_HEADER.unpack(os.pread(file, _JOURNAL_HEADER.size, place))
        if not sector_bytes or not page_bytes:
            raise ValueError("a journal's header gives the size of a sector and of a page")
        place += sector_bytes
        record_bytes = page_bytes + 2 * _NUMBER.size  # its number before it, a checksum behind it
        n_whole = max(0, n_bytes - place) // record_bytes
        n_records = n_whole if n_records in _UNSYNCED else min(n_records, n_whole)
        for start in range(place, place + n_records * record_bytes, record_bytes):
            pages.update(_NUMBER.unpack(os.pread(file, _NUMBER.size, start)))
        # Another header follows, at the beginning of a sector, where the cache was too small for the transaction.
        place += -(-n_records * record_bytes // sector_bytes) * sector_bytes
    return pages
