"""What is put into generated calls: real voices, ids that exist, and keys that lack something."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from schemathesis import Case
from voices import EXAMPLES, encoded, example

from app.access import SCOPES, Scope
from app.records import DEFAULT_TENANT
from app.usecases.keys import ApiKeys

FILE_FIELDS = ("audio", "audio_a", "audio_b")
REAL_SHARE = 0.7
"""Of the values that a call was given, so many become something that exists; the others stay as they were made up."""
FULL_SHARE = 0.8
"""Of calls with a key that has every scope."""
PARTIAL: Sequence[tuple[Scope, ...]] = (
    ("compare", "identify"),
    ("enroll",),
    ("verify", "erase"),
    ("metrics", "scores"),
)
"""Scopes of keys that lack the others."""
STANDING = ("alice", "bob")
"""Whom no call erases, so that there is always somebody to verify."""
NOBODY = "nobody"
"""Whom there never was."""
WITNESS = "witness"
"""Whom no call names; verified when all is over."""


@dataclass(frozen=True)
class Bearer:
    """What a call comes with: a key, no key, or what is none."""

    scopes: frozenset[str] | None
    """None: it is not a valid key."""
    headers: dict[str, str]

    def refusal(self, security: Sequence[dict[str, list[str]]]) -> int | None:
        """The status that the guard must answer with, by the call's `security` in the document; None: it lets it pass."""
        if not security:
            return None
        if self.scopes is None:
            return 401
        needed = {scope for alternative in security for scopes in alternative.values() for scope in scopes}
        return None if needed <= self.scopes else 403


def make_bearers(keys: ApiKeys) -> Sequence[Bearer]:
    """The first has every scope."""
    made = [(scopes, keys.create("contract", DEFAULT_TENANT, scopes).text) for scopes in (SCOPES, *PARTIAL)]
    valid = [Bearer(frozenset(scopes), {"Authorization": f"Bearer {text}"}) for scopes, text in made]
    return [*valid, Bearer(None, {}), Bearer(None, {"X-API-Key": "vouch_0f3c9a61d27be584_guessed"})]


def clips(voice: str) -> list[bytes]:
    """Of speaker `a` or `b` of examples/clips, each with enough speech to enrol."""
    return [encoded(example(path.stem)) for path in sorted(EXAMPLES.glob(f"speaker-{voice}-*"))]


@dataclass
class Known:
    """What the answers told of, for later calls to name."""

    speaker_ids: list[str] = field(default_factory=list)
    enrollments: list[tuple[str, str]] = field(default_factory=list)
    """(speaker_id, enrollment_id)"""
    key_ids: list[str] = field(default_factory=list)

    def note(self, body: Any) -> None:
        """Of an answer with 201."""
        if "about" in body:
            self.key_ids.append(body["about"]["key_id"])
        elif "enrollments" in body:
            speaker_id = body["speaker"]["speaker_id"]
            self.enrollments += [(speaker_id, enrolled["enrollment_id"]) for enrolled in body["enrollments"]]
        else:
            self.speaker_ids.append(body["speaker_id"])


class Dresser:
    """Makes of a call that was made up from the document one that may come further."""

    def __init__(self, bearers: Sequence[Bearer]) -> None:
        self.known = Known()
        self._bearers = bearers
        self._voices = [clip for voice in "ab" for clip in clips(voice)]

    def bearer(self, dice: random.Random) -> Bearer:
        return self._bearers[0] if dice.random() < FULL_SHARE else dice.choice(self._bearers[1:])

    def dress(self, case: Case, dice: random.Random) -> None:
        """Exchanges path parameters and files in place."""
        if case.path_parameters and dice.random() < REAL_SHARE:
            self._name(case.method, case.path_parameters, dice)
        if isinstance(case.body, dict):
            for name in FILE_FIELDS:
                if name in case.body and dice.random() < REAL_SHARE:
                    found = dice.sample(self._voices, dice.randint(1, 2))
                    case.body[name] = found if isinstance(case.body[name], list) else found[0]

    def _name(self, method: str, path: dict[str, Any], dice: random.Random) -> None:
        known = self.known
        if "enrollment_id" in path:
            if known.enrollments:
                path["speaker_id"], path["enrollment_id"] = dice.choice(known.enrollments)
        elif "speaker_id" in path:
            path["speaker_id"] = dice.choice((known.speaker_ids or [NOBODY]) if method == "DELETE" else STANDING)
        elif known.key_ids:
            # Every other key outlives the revocations, so that there are some to rotate.
            outlives = known.key_ids[1::2] or known.key_ids
            path["key_id"] = dice.choice(known.key_ids[::2] if method == "DELETE" else outlives)
