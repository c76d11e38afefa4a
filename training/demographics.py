"""Who speaks in a clip, as a manifest has it: gender and age, for reports and calibrations; no encoder sees them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from training.corpora.utterance import CorpusError

ADULT_FROM_YEARS = 16
"""Children are younger. By then most voices have changed; and speechocean762 has nobody from 16 to 18."""
GENDERS = ("f", "m")


@dataclass(frozen=True)
class Speaker:
    gender: str
    """`f`, `m` or empty where the manifest does not say."""
    age_years: float | None

    @property
    def is_child(self) -> bool | None:
        return None if self.age_years is None else self.age_years < ADULT_FROM_YEARS


UNKNOWN = Speaker("", None)


def read_demographics(manifest: Path) -> dict[Path, Speaker]:
    """Clip -> its speaker, from the columns `path` (relative to the manifest's folder), `gender` and `age` in years.

    Raises CorpusError where there is no such file or column, and where an age is no number.
    """
    if not manifest.is_file():
        raise CorpusError(f"there is no manifest at {manifest}")
    found = {}
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        columns = rows.fieldnames or []
        if "path" not in columns or not {"gender", "age"} & set(columns):
            raise CorpusError(f"{manifest} needs the columns path, and gender or age; it has {', '.join(columns)}")
        for number, row in enumerate(rows, start=2):
            gender = (row.get("gender") or "").strip().lower()[:1]
            age = (row.get("age") or "").strip()
            try:
                age_years = float(age) if age else None
            except ValueError as error:
                raise CorpusError(f"{manifest} line {number}: the age is {age!r}, not a number of years") from error
            clip = (manifest.parent / row["path"]).resolve()
            found[clip] = Speaker(gender if gender in GENDERS else "", age_years)
    return found
