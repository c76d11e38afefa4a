"""Mozilla Common Voice: LANG/clips/*.mp3 with validated.tsv, train.tsv, dev.tsv and test.tsv.

`client_id` is the speaker, and a label to be careful with: it names an account. A school's or a family's account speaks
with many voices, and a person with two browsers has two. Nothing in the corpus tells; `prepare` reports accounts whose
clips disagree about the gender. One account may speak several languages and is one speaker: it tests wherever it tests
in one of them. The corpus tells no sessions.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from training.corpora.utterance import CorpusError, Split, Utterance

SPLIT_FILES: dict[str, Split] = {"train.tsv": "train", "dev.tsv": "validation", "test.tsv": "test"}
"""Later ones win: an account that tests in one language trains in none."""
ALL_CLIPS = "validated.tsv"
"""Clips that two listeners agreed on. The split files hold few of them: one for each sentence."""
GENDERS = {"male": "m", "male_masculine": "m", "female": "f", "female_feminine": "f"}
"""As releases before and since 2024 write it. What is neither, or not told, is empty."""
AGES = {
    "teens": 16.0,
    "twenties": 25.0,
    "thirties": 35.0,
    "fourties": 45.0,  # sic
    "forties": 45.0,
    "fifties": 55.0,
    "sixties": 65.0,
    "seventies": 75.0,
    "eighties": 85.0,
    "nineties": 95.0,
}
"""The middle of the decade that was told, in years."""
ID_LENGTH = 16
"""Hexadecimal digits of the 128 of a client_id that name a speaker: two of a million collide with p = 3e-8."""


def read_commonvoice(root: Path) -> Iterator[Utterance]:
    """`root` is a language's folder, or holds several. Raises CorpusError where there is none, or a column is missing."""
    languages = [root] if (root / "clips").is_dir() else sorted(clips.parent for clips in root.glob("*/clips"))
    if not languages:
        raise CorpusError(
            f"no clips folder in {root} or one below; give the folder of a Common Voice language, or the one that holds it"
        )
    splits = {
        row["client_id"]: split
        for name, split in SPLIT_FILES.items()
        for language in languages
        for row in _rows(language / name)
    }
    for language in languages:
        lists = [ALL_CLIPS] if (language / ALL_CLIPS).is_file() else list(SPLIT_FILES)
        found = False
        for row in (row for name in lists for row in _rows(language / name)):
            found = True
            client = row["client_id"]
            yield Utterance(
                path=(language / "clips" / row["path"]).resolve(),
                corpus="commonvoice",
                speaker=f"commonvoice-{client[:ID_LENGTH]}",
                session="1",
                gender=GENDERS.get(row.get("gender") or "", ""),
                split=splits.get(client),
                age=AGES.get(row.get("age") or ""),
            )
        if not found:
            raise CorpusError(f"no clips are listed in {language}; it needs {ALL_CLIPS} or {', '.join(SPLIT_FILES)}")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)  # sentences hold single quotation marks
        missing = [name for name in ("client_id", "path") if name not in (rows.fieldnames or [])]
        if missing:
            raise CorpusError(f"{path} lacks the column {', '.join(missing)}; is it Common Voice's?")
        yield from rows
