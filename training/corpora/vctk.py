"""VCTK: wav48_silence_trimmed/pNNN/pNNN_MMM_mic1.flac (0.92), or wav48/pNNN/pNNN_MMM.wav (before it).

Both microphones of 0.92 heard the same utterance at the same moment. Taken as two clips they would be target trials of
one performance, which measure the room and not the voice; so the first is read, and the second only where it is missing.
A speaker came once: one session. The corpus has no splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.corpora.utterance import CorpusError, Utterance

PARTS = ("wav48_silence_trimmed", "wav48")
"""Newest first; where both were unpacked they hold the same utterances, and the newer is read."""


@dataclass(frozen=True)
class _Person:
    gender: str
    age: float | None


def read_vctk(root: Path) -> Iterator[Utterance]:
    """`root` holds speaker-info.txt and the folder of recordings. Raises CorpusError where it holds no recordings."""
    part = next((root / name for name in PARTS if (root / name).is_dir()), None)
    if part is None:
        raise CorpusError(f"neither {' nor '.join(PARTS)} is in {root}; give the folder that holds one of them")
    people = _read_people(root / "speaker-info.txt")
    found = False
    for folder in sorted(path for path in part.iterdir() if path.is_dir()):
        speaker = folder.name
        person = people.get(speaker, _Person("", None))
        for audio in _one_microphone(folder):
            if not audio.name.startswith(f"{speaker}_"):
                raise CorpusError(f"{audio.relative_to(root)} does not name its own speaker; is this VCTK?")
            found = True
            yield Utterance(
                path=audio.resolve(),
                corpus="vctk",
                speaker=f"vctk-{speaker}",
                session="1",
                gender=person.gender,
                split=None,
                age=person.age,
            )
    if not found:
        raise CorpusError(f"no SPEAKER/*.flac or *.wav below {part}; give the folder that holds VCTK's {part.name}")


def _one_microphone(folder: Path) -> list[Path]:
    """The clips of a speaker, each utterance once."""
    takes: dict[str, Path] = {}
    for audio in sorted(path for path in folder.iterdir() if path.suffix.lower() in (".flac", ".wav")):
        utterance = audio.stem.removesuffix("_mic1").removesuffix("_mic2")
        takes.setdefault(utterance, audio)  # sorted: mic1 comes first
    return list(takes.values())


def _read_people(path: Path) -> dict[str, _Person]:
    """ID, age and gender from the first three columns; older releases leave out the `p` of the ID."""
    if not path.is_file():
        return {}
    people = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        cells = line.split()
        if len(cells) >= 3:
            speaker = f"p{cells[0]}" if cells[0].isdigit() else cells[0]
            people[speaker] = _Person(cells[2].lower()[:1], float(cells[1]) if cells[1].isdigit() else None)
    return people
