"""API keys as values: how one is written, what it may do, and how it is told from a guess.

A key reads `vouch_<id>_<secret>`. The id is public and names the key in lists and logs; the secret is 256 random bits,
shown once. What is kept of a key is its keyed hash, which is of no use without the service's own secret.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args

Scope = Literal["compare", "enroll", "verify", "identify", "erase", "force", "embeddings", "scores", "metrics", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""In the order in which a person is told of them."""

PREFIX = "vouch"
ID_BYTES = 8
SECRET_BYTES = 32


@dataclass(frozen=True)
class ApiKey:
    """What is known of a key; the key itself is not."""

    key_id: str
    name: str
    tenant: str
    scopes: frozenset[Scope]
    digest: bytes = field(repr=False)
    """The keyed hash of the whole key."""
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    """To the minute, and written now and then only."""

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class MadeKey:
    """A new key, with its text, for the one time that it is shown."""

    key: ApiKey
    text: str = field(repr=False)


@dataclass(frozen=True)
class Caller:
    """Who a request comes from, as far as it matters what may be done."""

    key_id: str | None
    """None where the service has no keys."""
    tenant: str
    scopes: frozenset[Scope]


def new_key_id() -> str:
    return secrets.token_hex(ID_BYTES)


def write_key(key_id: str) -> str:
    """A new key of this id. Hexadecimal: a double click selects it whole, and nothing needs escaping."""
    return f"{PREFIX}_{key_id}_{secrets.token_hex(SECRET_BYTES)}"


def id_of(text: str) -> str:
    """The id that a key claims to be of; empty where it is not written as keys are."""
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    return key_id if prefix == PREFIX and secret else ""


class KeyHasher:
    """Keyed hashes of keys, by HMAC-SHA256. The id is hashed with the secret, so that a hash fits its own row only.

    A slow hash, as passwords need, would protect nothing: nobody guesses 256 random bits.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._nobody = secrets.token_bytes(32)

    def digest(self, text: str) -> bytes:
        return hmac.digest(self._secret, text.encode("utf-8", "surrogatepass"), "sha256")

    def matches(self, text: str, digest: bytes | None) -> bool:
        """Takes the same time whatever differs, and also where there is no digest to compare with."""
        return hmac.compare_digest(self.digest(text), self._nobody if digest is None else digest)
