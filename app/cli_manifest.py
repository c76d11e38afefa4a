"""The manifest of a bulk enrolment, and the journal beside it of who is done."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from threading import Lock

from model.errors import InvalidArgument, ServiceError

NEEDED = ("speaker_id", "path")
COLUMNS = (*NEEDED, "display_name")
JOURNAL_SUFFIX = ".done"


@dataclass(frozen=True)
class Row:
    line: int
    speaker_id: str
    path: str
    """As it stands there: of a file, from the manifest's folder."""
    display_name: str | None
    problem: str | None = None
    """Why it is no row to enrol."""


def read_manifest(manifest: Path) -> list[Row]:
    """A CSV file with a header. Raises InvalidArgument where it cannot be read, or has other columns."""
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            found = [name.strip() for name in reader.fieldnames or ()]
            if not set(NEEDED) <= set(found) <= set(COLUMNS) or len(found) != len(set(found)):
                raise InvalidArgument(
                    f"The first line of {manifest} is {','.join(found)!r}; it must name the columns "
                    f"{','.join(NEEDED)}, and display_name where there are names."
                )
            reader.fieldnames = found
            return [_row(reader.line_num, fields) for fields in reader]
    except OSError as error:
        raise InvalidArgument(f"The manifest {manifest} cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgument(f"The manifest {manifest} is no CSV file in UTF-8 ({error}).") from None


def _row(line: int, fields: dict[str, str]) -> Row:
    speaker_id, path = fields["speaker_id"].strip(), fields["path"].strip()
    problem = None
    if "" in fields:
        problem = "There are more fields than columns; put what holds a comma in double quotes."
    elif not speaker_id or not path:
        problem = f"{'path' if speaker_id else 'speaker_id'} is empty."
    return Row(line, speaker_id, path, fields.get("display_name", "").strip() or None, problem)


def idempotency_key(speaker_id: str, audio: bytes) -> str:
    """The same for the same clip of the same speaker, whichever run sends it."""
    content = hashlib.sha256(audio).hexdigest()
    return f"vouch-{hashlib.sha256(f'{speaker_id} {content}'.encode()).hexdigest()}"


class Journal:
    """Which clips are enrolled at one place. It saves asking again; that nobody is enrolled twice is the key's doing.

    Threads may use it at once.
    """

    def __init__(self, file: FileIO, done: set[str], place: str) -> None:
        self._file = file
        self._done = done
        self._place = place
        self._lock = Lock()

    def has(self, key: str) -> bool:
        return self._mark(key) in self._done

    def add(self, key: str) -> None:
        """Raises ServiceError where it cannot be written."""
        with self._lock:
            try:
                self._file.write(f"{self._mark(key)}\n".encode())
            except OSError as error:
                raise ServiceError(f"The journal {self._file.name} cannot be written ({error.strerror}).") from None
            self._done.add(self._mark(key))

    def _mark(self, key: str) -> str:
        """A hash, so that the journal names neither people nor the database, whose URL may hold a password."""
        return hashlib.sha256(f"{self._place} {key}".encode()).hexdigest()


@contextmanager
def open_journal(manifest: Path, place: str) -> Iterator[Journal]:
    """Raises ServiceError where it cannot be written."""
    path = manifest.with_name(manifest.name + JOURNAL_SUFFIX)
    try:
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise ServiceError(f"The journal {path} cannot be written ({error.strerror}). Move the manifest.") from None
    with file:
        file.seek(0)
        written = file.read()
        if written and not written.endswith(b"\n"):
            file.write(b"\n")  # a run was killed within its last line, which then counts for nothing
        yield Journal(file, set(written.decode("ascii", "replace").split()), place)
