"""What a prepared data set holds: counts a split and corpus, what is suspicious, what could not be read; as JSON too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from training.corpora.utterance import SPLITS
from training.dataset import PreparedUtterance
from training.hazards import Finding

REPORT = "prepare-report.json"
"""Beside utterances.csv."""


@dataclass(frozen=True)
class SplitSummary:
    split: str
    corpus: str
    n_speakers: int
    n_sessions: int
    n_clips: int
    hours: float


@dataclass(frozen=True)
class Unreadable:
    path: str
    why: str


@dataclass(frozen=True)
class Inventory:
    sources: tuple[str, ...]
    n_clips_found: int
    """What the readers named. What is missing in `splits` is unreadable, silent, a copy or claimed by two speakers."""
    splits: tuple[SplitSummary, ...]
    findings: tuple[Finding, ...]
    unreadable: tuple[Unreadable, ...]
    refusal: str | None
    """Why utterances.csv was not written; None where it was."""


def summarise(rows: Sequence[PreparedUtterance]) -> tuple[SplitSummary, ...]:
    found = []
    for split in SPLITS:
        for corpus in sorted({row.utterance.corpus for row in rows}):
            chosen = [row for row in rows if row.utterance.split == split and row.utterance.corpus == corpus]
            if chosen:
                n_speakers = len({row.utterance.speaker for row in chosen})
                n_sessions = len({(row.utterance.speaker, row.utterance.session) for row in chosen})
                hours = sum(row.duration_s for row in chosen) / 3600
                found.append(SplitSummary(split, corpus, n_speakers, n_sessions, len(chosen), hours))
    return tuple(found)


def write_inventory(inventory: Inventory, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / REPORT
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(inventory), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)
    return path
