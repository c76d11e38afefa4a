"""Is the audit trail of several processes as they wrote it?

A line proves the one before it in its chain. How far a chain went is told by its closing line, and by whoever began another
chain later: its first line names the ends that it found. What need not be there any more, since it was kept for its days,
a first line tells too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from app.adapters.audit_found import NO_ENTRIES, CheckedTrail, UnclosedChain, lacking
from app.adapters.audit_lines import CHAIN, CLOSED, TrailKeys, is_chained, mac_of, read_line, written_time


@dataclass(frozen=True)
class StoredLine:
    place: int
    """From 1 on."""
    written_at: datetime
    line: bytes
    """Without its end."""

    @cached_property
    def fields(self) -> Mapping[str, Any]:
        """None where it cannot be read."""
        try:
            return read_line(self.line)
        except ValueError:
            return {}


@dataclass(frozen=True)
class _Found:
    chain: str
    first_place: int
    last: StoredLine
    n_entries: int

    @property
    def last_at(self) -> str:
        return str(self.last.fields.get("at", ""))

    @property
    def is_closed(self) -> bool:
        return self.last.fields.get("action") == CLOSED


class ChainCheck:
    def __init__(self, keys: TrailKeys, openings: Iterable[Mapping[str, Any]], held_macs: str | None) -> None:
        """`openings` are the fields of first lines that are as they were written."""
        self._keys = keys
        self._named = {(end["chain"], end["place"]): end["at"] for opening in openings for end in opening["after"]}
        self._lacking = [] if held_macs is None else held_macs.split(",")
        self._found: dict[str, _Found] = {}
        self._first_at: str | None = None
        self._problem: str | None = None
        self._n_problems = 0

    def add(self, chain: str, lines: Iterable[StoredLine]) -> None:
        """The lines of one chain that are there, one or more, in order."""
        first: StoredLine | None = None
        before: StoredLine | None = None
        n_entries = 0
        for one in lines:
            first = first or one
            if (wrong := self._wrong(chain, one, before)) is not None:
                self._note(f"chain {chain}, {wrong}")
            if (mac := mac_of(one.line)) in self._lacking:
                self._lacking.remove(mac)
            n_entries += one.fields.get("action") not in (None, *NO_ENTRIES)
            before = one
        assert first is not None
        assert before is not None
        self._first_at = min(filter(None, (self._first_at, first.fields.get("at"))), default=None)
        self._found[chain] = _Found(chain, first.place, before, n_entries)

    def checked(self, openings: Iterable[Mapping[str, Any]]) -> CheckedTrail:
        """`openings` are read after the last line: they say what may have been deleted until then."""
        kept_from = max((opening.get("kept_from", "") for opening in openings), default="")
        loose = sorted(
            (one for one in self._found.values() if (one.chain, one.last.place) not in self._named),
            key=lambda one: one.last_at,
        )
        for problem in (*self._missing(kept_from), *map(lacking, self._lacking)):
            self._note(problem)
        return CheckedTrail(
            n_entries=sum(one.n_entries for one in self._found.values()),
            n_files=0,
            n_chains=len(self._found),
            first_at=self._first_at,
            last_at=max((one.last_at for one in self._found.values()), default=None),
            last_mac=",".join(mac_of(one.last.line) for one in loose) or None,
            problem=self._told(),
            unclosed=tuple(UnclosedChain(one.chain, one.n_entries, one.last_at) for one in loose if not one.is_closed),
        )

    def _wrong(self, chain: str, one: StoredLine, before: StoredLine | None) -> str | None:
        if before is None and one.place > 1:
            return None  # what stood before is missing, if it has to be there at all: see `_missing`
        if before is not None and one.place != before.place + 1:
            return f"line {one.place}: what stood before it is missing."
        if not is_chained(one.line, b"" if before is None else before.line, self._keys):
            return f"line {one.place}: it was changed, or what stood before it was changed, moved or taken out."
        if before is None and (one.fields.get("action"), one.fields.get("chain")) != (CHAIN, chain):
            return "line 1: it is no beginning of this chain."
        if one.fields.get("at") != written_time(one.written_at):
            return f"line {one.place}: it stands under another time than it was written at."
        return None

    def _missing(self, kept_from: str) -> Iterator[str]:
        for one in self._found.values():
            if one.first_place > 1 and one.last_at >= kept_from:
                yield f"chain {one.chain}: its first {one.first_place - 1} lines are missing."
        for (chain, place), at in self._named.items():
            if at < kept_from:
                continue
            if chain not in self._found:
                yield f"chain {chain}: it had {place} lines at {at}, and all of them are missing."
            elif self._found[chain].last.place < place:
                yield f"chain {chain}: it had {place} lines at {at}, and its end is missing."

    def _note(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._n_problems += 1

    def _told(self) -> str | None:
        """The first, with how many there are: what was known before hides none that is new."""
        more = f" That is one of {self._n_problems} problems." if self._n_problems > 1 else ""
        return None if self._problem is None else self._problem + more
