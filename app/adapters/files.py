"""Steps that make a file last: written whole, and its folder told."""

from __future__ import annotations

import os
from pathlib import Path


def write_all(number: int, data: bytes, place: int) -> None:
    """Writes at `place` of an open file. A full disk takes part of what it is given, and says so only the next time."""
    view = memoryview(data)
    while view:
        n_written = os.pwrite(number, view, place)
        view, place = view[n_written:], place + n_written


def write_private(path: Path, text: str) -> None:
    """A new file that its owner alone may read, in the place of one that an earlier attempt left, and synced."""
    path.unlink(missing_ok=True)
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    _sync(path, os.O_RDWR)


def sync_folder(folder: Path) -> None:
    """After it, a file that was made, renamed or removed there stays so through a power cut."""
    _sync(folder, os.O_RDONLY)


def _sync(path: Path, flags: int) -> None:
    number = os.open(path, flags)
    try:
        os.fsync(number)
    finally:
        os.close(number)
