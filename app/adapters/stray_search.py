"""Are there copies of what was erased in a database file? Asked while others go on reading and writing.

SQLite moves rows from page to page, and whole pages to other places of the file, and leaves what lay in their gaps. So a copy
might go from a page that is still to be read to one that was. Pages that change meanwhile are therefore noted, and are
read again at the end, while nobody writes. They are: those in the journals of the transactions since; those that were free
at the beginning and are not at the end, which a journal leaves out; and those appended. All others are as they were read.
A transaction that is taken back may leave what it wrote in pages that are free again: then all that were free are read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Protocol

from app.adapters.sqlite_pages import PageFile, PagesNow, journaled_pages

BLOCK_BYTES = 256 * 1024
"""Read at once: it stays in the processor's cache, and is whole pages of any size."""


class Wanted(Protocol):
    """What is looked for (`traces.Needles`)."""

    def are_in(self, block: bytes) -> bool: ...


@dataclass
class _Begun:
    at: PagesNow
    changed: set[int] = field(default_factory=lambda: {1})
    n_noted: int = 0
    is_unsure: bool = False
    has_written: bool = False
    """The last transaction."""
    is_free_unsure: bool = False


class StraySearch:
    """One at a time: `begin`, `finds`, `finds_in_changed`, `end`. The file is held open from the first one until `close`."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._journal = database.with_name(database.name + "-journal")
        self._file: PageFile | None = None
        self._begun: _Begun | None = None

    def begin(self) -> None:
        """While nobody writes. Raises OSError, ValueError."""
        self._file = self._file or PageFile(self._database)
        self._begun = _Begun(self._file.now())

    def note(self) -> None:
        """Towards the end of every transaction that may write, before it is committed or taken back."""
        begun = self._begun
        if begun is None:
            return
        try:
            pages = journaled_pages(self._journal)
        except (OSError, ValueError):
            begun.is_unsure = True
        else:
            begun.changed |= pages
            begun.has_written = bool(pages)
            begun.n_noted += begun.has_written

    def note_taken_back(self) -> None:
        """After a transaction that was noted and not committed."""
        begun = self._begun
        if begun is not None and begun.has_written:
            begun.is_free_unsure = True

    def finds(self, wanted: Wanted) -> bool:
        """Anywhere in the file, whoever may write meanwhile. Raises OSError."""
        begun = self._present()
        return self._is_in(wanted, 1, begun.at.n_pages, begun.at.page_bytes)

    def finds_in_changed(self, wanted: Wanted) -> bool:
        """In what changed since the beginning, while nobody writes. Raises OSError, ValueError."""
        begun = self._present()
        assert self._file is not None
        now = self._file.now()
        n_changes = (now.n_changes - begun.at.n_changes) % 2**32
        # More than were noted: another program's, or those of transactions whose journals are no files.
        if begun.is_unsure or n_changes > begun.n_noted or now.page_bytes != begun.at.page_bytes:
            return self._is_in(wanted, 1, now.n_pages, now.page_bytes)
        changed = sorted(begun.changed | (begun.at.free if begun.is_free_unsure else begun.at.free - now.free))
        for _, run in groupby(enumerate(changed), key=lambda pair: pair[1] - pair[0]):
            numbers = [number for _, number in run]
            if self._is_in(wanted, numbers[0], numbers[-1], now.page_bytes):
                return True
        return self._is_in(wanted, begun.at.n_pages + 1, now.n_pages, now.page_bytes)

    def end(self) -> None:
        """Nothing is noted any more."""
        self._begun = None

    def close(self) -> None:
        """After all of SQLite's own connections to the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _present(self) -> _Begun:
        assert self._begun is not None, "begin first"
        return self._begun

    def _is_in(self, wanted: Wanted, first: int, last: int, page_bytes: int) -> bool:
        assert self._file is not None
        n_at_once = BLOCK_BYTES // page_bytes
        return any(
            wanted.are_in(self._file.read(start, min(n_at_once, last + 1 - start), page_bytes))
            for start in range(first, last + 1, n_at_once)
        )
