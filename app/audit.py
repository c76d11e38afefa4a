"""What is kept of who did what: an entry of the audit trail, and the one who acts.

Whoever begins a request says who acts; the steps below it write entries and need not be told. Work that another thread
does must run in a copy of the request's context, or nobody did it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

Action = Literal[
    "create_speaker",
    "change_speaker",
    "erase_speaker",
    "expire_speaker",
    "enroll",
    "erase_enrollment",
    "verify",
    "identify",
    "embed",
    "create_key",
    "revoke_key",
    "rotate_key",
]
ACTIONS: tuple[Action, ...] = get_args(Action)

NO_KEY = "no key"
COMMAND = "command line"
EXPIRY = "expiry"


@dataclass(frozen=True)
class Actor:
    by: str
    """A key's public id, or one of the words above, which no key has for its id."""
    request_id: str | None = None


@dataclass(frozen=True)
class AuditEntry:
    at: datetime
    action: Action
    outcome: str
    """A decision, what was done, or the code of the problem."""
    by: str
    request_id: str | None
    tenant: str | None
    """None for what concerns the keys of every tenant."""
    speaker_id: str | None
    """Kept as a keyed hash only."""
    about: str | None
    """The enrollment or the key that was ended, made or replaced, by its id."""


_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def actor() -> Actor:
    """Whoever acts in this context: a command, where nobody said who."""
    return _actor.get() or Actor(COMMAND)


@contextmanager
def acting(who: Actor) -> Iterator[None]:
    """What is done in this context, and in contexts copied from it, is done by `who`."""
    token = _actor.set(who)
    try:
        yield
    finally:
        _actor.reset(token)
