"""One process owns an embedded database: a lock file beside it, held as long as the process lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from app.errors import StoreError, StoreInUse


class DatabaseLock:
    """Holds `<database>.lock`; the kernel lets go of it however the process ends. Released by `release`.

    The file stays: whoever removed it could lock a new one while another process still holds the old.
    """

    def __init__(self, database: Path) -> None:
        """Raises StoreInUse where another process, or this one, already holds the lock; StoreError where it cannot be."""
        path = database.with_name(database.name + ".lock")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(
                f"The lock file {path} cannot be opened ({error.strerror}). Give this process a data directory "
                "that it may write to."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(self._file, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise StoreInUse(
                f"The database {database} is already open in process {owner}, and an embedded database serves one "
                "process only. Stop that process, or set VOUCH_DATABASE_URL to a PostgreSQL server that several share."
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Lets the next process in. Releasing twice is no error."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
