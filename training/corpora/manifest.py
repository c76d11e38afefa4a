"""A CSV manifest: columns path, corpus, split, speaker, session, gender, age; others are ignored.

Paths are relative to the manifest's folder, ages are in years. `dev` and `validation` are the same split; an empty split is assigned.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from pathlib import Path

from training.corpora.utterance import CorpusError, Split, Utterance

REQUIRED_COLUMNS = ("path", "speaker")
MAX_AGE = 130
SPLIT_NAMES: dict[str, Split | None] = {
    "": None,
    "train": "train",
    "dev": "validation",
    "validation": "validation",
    "test": "test",
}


def read_manifest(path: Path) -> Iterator[Utterance]:
    """Raises CorpusError naming the line for a missing column, an unknown split, an absent file or an age that is none."""
    manifest = path / "manifest.csv" if path.is_dir() else path
    if not manifest.is_file():
        raise CorpusError(
            f"there is no manifest at {manifest}; give the CSV file or the folder that holds manifest.csv"
        )
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        missing = [name for name in REQUIRED_COLUMNS if name not in (rows.fieldnames or [])]
        if missing:
            raise CorpusError(
                f"{manifest} lacks the column {', '.join(missing)}; it needs {', '.join(REQUIRED_COLUMNS)}"
            )
        for number, row in enumerate(rows, start=2):
            split = (row.get("split") or "").strip()
            if split not in SPLIT_NAMES:
                allowed = ", ".join(name for name in SPLIT_NAMES if name)
                raise CorpusError(f"{manifest} line {number}: split is {split!r}; allowed are {allowed} or nothing")
            audio = (manifest.parent / row["path"]).resolve()
            if not audio.is_file():
                raise CorpusError(f"{manifest} line {number}: there is no file {row['path']}")
            if not row["speaker"]:
                raise CorpusError(f"{manifest} line {number}: the speaker is empty")
            corpus = row.get("corpus") or manifest.parent.name
            yield Utterance(
                path=audio,
                corpus=corpus,
                speaker=f"{corpus}/{row['speaker']}",
                session=row.get("session") or "1",
                gender=(row.get("gender") or "").lower()[:1],
                split=SPLIT_NAMES[split],
                age=_read_age(row.get("age") or "", f"{manifest} line {number}"),
            )


def _read_age(text: str, where: str) -> float | None:
    if not text.strip():
        return None
    try:
        age = float(text)
    except ValueError:
        age = math.nan
    if not 0 < age < MAX_AGE:
        raise CorpusError(f"{where}: age is {text!r}; allowed are years between 0 and {MAX_AGE}, or nothing")
    return age
