"""How an entry of the audit trail is written: a line of JSON that proves which line stands before it.

    {"at":"2026-01-31T12:00:00.000000Z","action":"verify","outcome":"accept","by":"5f…","request":"req_…",
     "tenant":"default","speaker":"9c…","mac":"41…"}

The last field is an HMAC-SHA256 of the line without it and of the line before, so that none can be changed, put in, moved
or taken out from between by whoever lacks the key. The first line of a file names the last one of the file before, since
old files are deleted when their time is over. Lines that are missing at the very end show only against a `mac` that was
noted elsewhere.

In PostgreSQL, where several processes write at once, each has a chain of its own for each day. What is said here of a file
holds of a chain, but that its first line names the ends of all chains that it finds, and that its last one closes it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.audit import AuditEntry

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_MAC_BYTES = 64
_TAIL_BYTES = len(b',"mac":""}') + _MAC_BYTES
FILE = "file"
"""The action of a file's first line."""
CHAIN = "chain"
"""The action of a chain's first line."""
CLOSED = "closed"
"""The action of a chain's last line."""


@dataclass(frozen=True)
class ChainEnd:
    """The last line of a chain, as somebody found it."""

    chain: str
    place: int
    """1 for the first line."""
    at: str
    """When the line was written, as `written_time` has it."""


@dataclass(frozen=True)
class TrailKeys:
    """Both come from one secret of the service, which is sealed in its database and goes with its backups."""

    chain: bytes
    speakers: bytes

    @classmethod
    def of(cls, secret: bytes) -> TrailKeys:
        return cls(*(hmac.digest(secret, f"vouch audit {use}".encode(), "sha256") for use in ("chain", "speakers")))

    def speaker(self, tenant: str | None, speaker_id: str) -> str:
        """What stands for a speaker: the same for everybody who ever has this id, and of no use without the key."""
        return hmac.digest(self.speakers, json.dumps([tenant, speaker_id]).encode(), "sha256").hex()


def entry_line(entry: AuditEntry, keys: TrailKeys) -> dict[str, str]:
    """The fields of an entry's line, those that are None left out."""
    fields = {
        "at": written_time(entry.at),
        "action": entry.action,
        "outcome": entry.outcome,
        "by": entry.by,
        "request": entry.request_id,
        "tenant": entry.tenant,
        "speaker": None if entry.speaker_id is None else keys.speaker(entry.tenant, entry.speaker_id),
        "about": entry.about,
    }
    return {name: value for name, value in fields.items() if value is not None}


def file_line(at: datetime, line_before: bytes) -> dict[str, str]:
    """The fields of a file's first line; `line_before` is the last one of the file before, or empty."""
    return {"at": written_time(at), "action": FILE, "after": fingerprint(line_before)}


def chain_line(at: datetime, chain: str, kept_from: datetime | None, ends: Iterable[ChainEnd]) -> dict[str, Any]:
    """The fields of a chain's first line. Chains that ended before `kept_from` may be gone; None where all are kept."""
    return {
        "at": written_time(at),
        "action": CHAIN,
        "chain": chain,
        **({} if kept_from is None else {"kept_from": written_time(kept_from)}),
        "after": [vars(end) for end in ends],
    }


def closing_line(at: datetime) -> dict[str, str]:
    """The fields of a chain's last line, where its process had the time to write one."""
    return {"at": written_time(at), "action": CLOSED}


def chained(fields: Mapping[str, Any], line_before: bytes, keys: TrailKeys) -> bytes:
    """The line, with its end. `line_before` is the one above it in the file, without its end, or empty for the first."""
    return _with_mac(json.dumps(fields, separators=(",", ":")).encode(), line_before, keys) + b"\n"


def is_chained(line: bytes, line_before: bytes, keys: TrailKeys) -> bool:
    """Whether this line, without its end, is as it was written after `line_before`."""
    return hmac.compare_digest(line, _with_mac(line[:-_TAIL_BYTES] + b"}", line_before, keys))


def read_line(line: bytes) -> dict[str, Any]:
    """The fields. Raises ValueError for what is no line of a trail."""
    fields = json.loads(line)
    if not isinstance(fields, dict) or not isinstance(fields.get("at"), str):
        raise ValueError("no line of an audit trail")
    return fields


def fingerprint(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def mac_of(line: bytes) -> str:
    """The code that the line, without its end, ends with."""
    return line[-_MAC_BYTES - 2 : -2].decode("ascii", "replace")


def written_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime(_TIME)


def _with_mac(body: bytes, line_before: bytes, keys: TrailKeys) -> bytes:
    mac = hmac.digest(keys.chain, hashlib.sha256(line_before).digest() + body, "sha256").hex().encode()
    return body[:-1] + b',"mac":"' + mac + b'"}'
