"""Which clips a command means: files, folders of them, or standard input; and a bar while it hears them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from model.errors import AudioError, InvalidArgument, VouchError

STDIN = "-"
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".webm", ".m4a", ".m4b", ".mp4"})
"""In a folder; a file that is named by itself may be called anything. In lower case."""
ALLOWED = f"Give an audio file (WAV, FLAC, MP3, Ogg, WebM or M4A), a folder of them, or {STDIN} for standard input."
_CALLED = re.compile(r"audio(_[ab])?\b|clip \d+ of \d+\b")
"""How an error names a clip, whose file the call does not know."""

T = TypeVar("T")

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE", help=f"Clips, folders of clips, or {STDIN} for standard input.")
]


class UnreadableFile(AudioError):
    """What a command was given is no file that it may read."""

    code: ClassVar[str] = "unreadable_file"


@dataclass(frozen=True)
class ClipFile:
    path: Path

    @property
    def name(self) -> str:
        """For people, without what a terminal would obey."""
        text = "standard input" if str(self.path) == STDIN else str(self.path)
        return "".join(character if character.isprintable() else "?" for character in text)

    def read(self) -> bytes:
        """All of it. Raises UnreadableFile."""
        try:
            return sys.stdin.buffer.read() if str(self.path) == STDIN else self.path.read_bytes()
        except OSError as error:
            raise UnreadableFile(f"{self.name} cannot be read ({error.strerror}). {ALLOWED}") from None


def clip_files(paths: Sequence[Path]) -> list[ClipFile]:
    """In the order that they were given; those of a folder, and of the folders in it, by name.

    Raises InvalidArgument for standard input twice, and for a folder without audio.
    """
    if [str(path) for path in paths].count(STDIN) > 1:
        raise InvalidArgument(f"{STDIN} was given twice; standard input is one clip.")
    return [ClipFile(found) for path in paths for found in _within(path)]


def _within(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(one for one in path.rglob("*") if one.suffix.lower() in AUDIO_SUFFIXES and one.is_file())
    if not found:
        raise InvalidArgument(f"The folder {path} holds no clips; names end in: {', '.join(sorted(AUDIO_SUFFIXES))}.")
    return found


def by_file(error: VouchError, names: Mapping[str, str]) -> str:
    """The error's sentence, in which `names` gives the file's name for what the call named it."""
    said = str(error)
    found = _CALLED.match(said)
    return names.get(found[0], found[0]) + said[found.end() :] if found else said


def with_progress(items: Iterable[T], what: str, n_items: int) -> Iterator[T]:
    """Each item, under a bar for as long as the next one is asked for: on a terminal, and where there are several."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        # Lines for a terminal are put above the bar; those for a file go there as ever.
        redirect_stdout=sys.stdout.isatty(),
        disable=n_items < 2 or not sys.stderr.isatty(),
    ) as progress:
        yield from progress.track(items, total=n_items, description=what)
