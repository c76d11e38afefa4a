"""What a client of bench/faults.py meant to do, and what it was told was done: a log that is on the disk first.

Every line is synced before the request that it announces is sent, and before the answer that it notes counts. What must
be in the service is what the lines add up to.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

Operation = Literal["create", "enroll", "change", "take_back", "erase"]


@dataclass(frozen=True)
class Intent:
    number: int
    operation: Operation
    speaker_id: str
    key: str = ""
    """Idempotency-Key of a POST."""
    clips: tuple[str, ...] = ()
    """Names of those to enrol."""
    value: int = 0
    """What the metadata say after a change."""
    enrollment_id: str = ""
    """The one to take back."""


@dataclass(frozen=True)
class Life:
    """A speaker as the service must have it."""

    voice: str
    value: int = 0
    enrollments: tuple[str, ...] = ()


@dataclass
class Ledger:
    """For threads: each speaker is one client's, and has one intent at a time."""

    path: Path
    lives: dict[str, Life] = field(default_factory=dict)
    erased: set[str] = field(default_factory=set)
    """Ids that nobody has any more."""
    gone: set[str] = field(default_factory=set)
    """Enrollments that were taken back, or went with their speaker: they are never anybody's again."""
    n_acknowledged: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._n_intents = 0
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def intend(self, intent: Intent) -> Intent:
        """Gives it with its number, once it is written down."""
        with self._lock:
            self._n_intents += 1
            intent = replace(intent, number=self._n_intents)
            self._write({"intent": asdict(intent)})
        return intent

    def acknowledge(self, intent: Intent, enrollment_ids: Sequence[str] = ()) -> None:
        with self._lock:
            self._write({"done": intent.number, "enrollments": list(enrollment_ids)})
            self._apply(intent, enrollment_ids)

    def after(self, intent: Intent) -> Life | None:
        """The speaker once the intent is carried out; of an enrollment's clips the ids are not known yet, and left out."""
        life = self.lives.get(intent.speaker_id)
        match intent.operation:
            case "create":
                return Life(voice_of(intent.speaker_id))
            case "erase":
                return None
            case "change":
                return life and replace(life, value=intent.value)
            case "take_back":
                return life and replace(
                    life, enrollments=tuple(one for one in life.enrollments if one != intent.enrollment_id)
                )
            case "enroll":
                return life

    def close(self) -> None:
        os.close(self._file)

    def _apply(self, intent: Intent, enrollment_ids: Sequence[str]) -> None:
        self.n_acknowledged += 1
        before, after = self.lives.get(intent.speaker_id), self.after(intent)
        if after is not None and enrollment_ids:
            after = replace(after, enrollments=(*after.enrollments, *enrollment_ids))
        self.gone |= set(before.enrollments if before else ()) - set(after.enrollments if after else ())
        if after is None:
            del self.lives[intent.speaker_id]
            self.erased.add(intent.speaker_id)
        else:
            self.lives[intent.speaker_id] = after
            self.erased.discard(intent.speaker_id)

    def _write(self, line: dict[str, object]) -> None:
        os.write(self._file, json.dumps(line).encode() + b"\n")
        os.fsync(self._file)


def read_ledger(path: Path, scratch: Path) -> Ledger:
    """What the lines of a ledger add up to, as somebody finds it who has nothing else. `scratch` is a file to be made."""
    ledger, intents = Ledger(scratch), {}
    for line in path.read_text(encoding="utf-8").splitlines():
        told = json.loads(line)
        if "intent" in told:
            intent = Intent(**{**told["intent"], "clips": tuple(told["intent"]["clips"])})
            intents[intent.number] = intent
        else:
            ledger.acknowledge(intents[told["done"]], told["enrollments"])
    return ledger


def voice_of(speaker_id: str) -> str:
    """An id says whose voice it is: `a-3-1` is client 3's, with voice a."""
    return speaker_id.partition("-")[0]
