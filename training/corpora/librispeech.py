"""LibriSpeech (OpenSLR 12): SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-NNNN.flac, SPEAKERS.TXT beside the subsets.

A chapter is a session. Subsets named train-*, dev-* and test-* keep their split.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.corpora.utterance import CorpusError, Split, Utterance

SUBSET_SPLITS: dict[str, Split] = {"train": "train", "dev": "validation", "test": "test"}


def read_librispeech(root: Path) -> Iterator[Utterance]:
    """`root` holds the subset folders. Raises CorpusError where it holds none with audio."""
    genders = _read_genders(root / "SPEAKERS.TXT")
    found = False
    for audio in sorted(root.glob("*/*/*/*.flac")):
        subset, speaker, chapter = audio.relative_to(root).parts[:3]
        if audio.stem.split("-")[:2] != [speaker, chapter]:
            raise CorpusError(
                f"{audio.relative_to(root)} does not name its own speaker and chapter; is this LibriSpeech?"
            )
        found = True
        yield Utterance(
            path=audio.resolve(),
            corpus="librispeech",
            speaker=f"librispeech-{speaker}",
            session=chapter,
            gender=genders.get(speaker, ""),
            split=SUBSET_SPLITS.get(subset.split("-")[0]),
        )
    if not found:
        raise CorpusError(
            f"no SUBSET/SPEAKER/CHAPTER/*.flac below {root}; give the folder that holds the LibriSpeech subsets"
        )


def _read_genders(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith(";"))
    cells = ([cell.strip() for cell in line.split("|")] for line in lines)
    return {row[0]: row[1].lower() for row in cells if len(row) > 1}
