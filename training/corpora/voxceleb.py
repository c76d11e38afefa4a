"""VoxCeleb 1 and 2: wav/idNNNNN/VIDEO/NNNNN.wav and aac/idNNNNN/VIDEO/NNNNN.m4a, also below dev/ and test/.

A video is a session: another day, room and microphone. VoxCeleb1's persons are id1NNNN and VoxCeleb2's id0NNNN, so both
may lie in one folder. vox1_meta.csv and vox2_meta.csv beside the audio say the gender, and in the column Set who tests:
in VoxCeleb1 the 40 persons whose names begin with E. Training on them would spoil every published trial list, so a clip
that neither a meta file nor a folder dev/ or test/ places is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.corpora.utterance import CorpusError, Split, Utterance

PARTS = ("wav", "aac", "*/wav", "*/aac")
META = ("vox1_meta.csv", "vox2_meta.csv")
SETS: dict[str, Split | None] = {"dev": None, "test": "test"}
"""`dev` is what one trains on; its validation speakers are drawn."""
SUFFIXES = (".wav", ".flac", ".m4a")
"""Best first: where clips were converted and the originals kept, one of each is read."""


@dataclass(frozen=True)
class _Person:
    gender: str
    split: Split | None


def read_voxceleb(root: Path) -> Iterator[Utterance]:
    """`root` holds wav, aac, dev or test. Raises CorpusError where it holds no clip, or one whose split is unknown."""
    people = {speaker: person for name in META for speaker, person in _read_people(root / name).items()}
    found = False
    for part in sorted(folder for pattern in PARTS for folder in root.glob(pattern)):
        for folder in sorted(part.glob("id*/*")):
            speaker, video = folder.parts[-2:]
            person = people.get(speaker) or _placed_by_folder(part, speaker)
            for audio in _clips(folder):
                found = True
                yield Utterance(
                    path=audio.resolve(),
                    corpus="voxceleb1" if speaker.startswith("id1") else "voxceleb2",
                    speaker=f"voxceleb-{speaker}",
                    session=video,
                    gender=person.gender,
                    split=person.split,
                )
    if not found:
        raise CorpusError(
            f"no wav/idNNNNN/VIDEO/*.wav and no aac/idNNNNN/VIDEO/*.m4a below {root}, also not below dev or test; give "
            "the folder that holds VoxCeleb's wav, aac, dev or test"
        )


def _clips(folder: Path) -> list[Path]:
    clips: dict[str, Path] = {}
    for suffix in SUFFIXES:
        for audio in folder.glob(f"*{suffix}"):
            clips.setdefault(audio.stem, audio)
    return [clips[stem] for stem in sorted(clips)]


def _placed_by_folder(part: Path, speaker: str) -> _Person:
    if part.parent.name not in SETS:
        raise CorpusError(
            f"nothing says whether {speaker} trains or tests; put {' and '.join(META)} beside {part.name}, or unpack into dev and test"
        )
    return _Person("", SETS[part.parent.name])


def _read_people(path: Path) -> dict[str, _Person]:
    """VoxCeleb1's file is parted by tabs, VoxCeleb2's by commas with blanks around; ID first, Gender and Set by name."""
    if not path.is_file():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.replace("\t", ",").split(",")] for line in lines if line.strip()]
    if not rows or not {"Gender", "Set"} <= set(rows[0]):
        raise CorpusError(f"{path} lacks the columns Gender and Set; is it VoxCeleb's?")
    gender, part = rows[0].index("Gender"), rows[0].index("Set")
    people = {}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(rows[0]) or row[part] not in SETS:
            raise CorpusError(f"{path} row {number}: {' '.join(row)!r} does not end in one of {', '.join(SETS)}")
        people[row[0]] = _Person(row[gender].lower()[:1], SETS[row[part]])
    return people
