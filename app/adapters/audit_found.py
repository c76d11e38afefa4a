"""What is found in an audit trail, wherever it is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.adapters.audit_lines import CHAIN, CLOSED, FILE, read_line

NO_ENTRIES = (FILE, CHAIN, CLOSED)
"""Actions of lines that hold a trail together."""


@dataclass(frozen=True)
class UnclosedChain:
    """Its process writes to it still, or was killed; or its end was cut off, which then does not show."""

    chain: str
    n_entries: int
    last_at: str


@dataclass(frozen=True)
class CheckedTrail:
    n_entries: int
    n_files: int
    n_chains: int
    """In PostgreSQL, where there are no files."""
    first_at: str | None
    last_at: str | None
    last_mac: str | None
    """To be noted elsewhere: a later check for it shows whether anything before it was cut off. Of chains that were written
    side by side it is several, apart by commas.
    """
    problem: str | None
    """Where the trail is first not as it was written; None where it is whole."""
    unclosed: tuple[UnclosedChain, ...] = ()


def lacking(mac: str) -> str:
    """The problem of a mac that was noted and is not there."""
    return f"no line has the mac {mac}: the trail was cut off before it, or it is not this trail's."


def asked_entry(line: bytes, tenant: str | None, speaker: str | None) -> dict[str, Any] | None:
    """The fields of an entry: of this tenant, and of this keyed hash of a speaker, where they are given; None for other lines."""
    try:
        fields = read_line(line)
    except ValueError:
        return None
    is_asked = tenant is None or fields.get("tenant") == tenant
    is_entry = fields.get("action") not in NO_ENTRIES
    return fields if is_entry and is_asked and speaker in (None, fields.get("speaker")) else None
