"""Keys over the wire. `vouch keys` prints the same."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from app.access import SCOPES, ApiKey, MadeKey, Scope
from app.api.requests import plain_text
from app.api.schemas import Answer
from app.records import DEFAULT_TENANT

MAX_OVERLAP_S = 30 * 24 * 3600

KeyName = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(plain_text)]
TenantName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9._~-]{1,64}$"), Field(description="1 to 64 of A-Z a-z 0-9 . _ ~ -")
]


class KeyIn(BaseModel):
    """A key to be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: KeyName = Field(description="Who or what uses it, for people.")
    tenant: TenantName = Field(DEFAULT_TENANT, description="Whose speakers it sees.")
    scopes: list[Scope] = Field(min_length=1, max_length=len(SCOPES), description="What it may do.")
    expires_at: AwareDatetime | None = Field(None, description="With a time zone; null: no end.")


class RotationIn(BaseModel):
    """How a key is replaced."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    overlap_s: int = Field(0, ge=0, le=MAX_OVERLAP_S, description="How long the old key stays valid, in seconds.")


class KeyAnswer(Answer):
    key_id: str
    name: str
    tenant: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute, and some minutes late.")

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        return cls(
            key_id=key.key_id,
            name=key.name,
            tenant=key.tenant,
            scopes=[scope for scope in SCOPES if scope in key.scopes],
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )


class KeyList(Answer):
    keys: list[KeyAnswer] = Field(description="Of every tenant, oldest first, the ended ones too.")


class MadeKeyAnswer(Answer):
    key: str = Field(description="The key itself, shown this once.")
    about: KeyAnswer

    @classmethod
    def of_made(cls, made: MadeKey) -> Self:
        return cls(key=made.text, about=KeyAnswer.of(made.key))
