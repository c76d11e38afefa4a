"""What comes over the wire as JSON: speakers. Uploads are in `uploads.py`."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from app.records import SpeakerChanges

MAX_METADATA_BYTES = 4096
MAX_DEPTH = 16
MAX_DISPLAY_NAME_CHARS = 200


def _no_dot_segment(speaker_id: str) -> str:
    if speaker_id in {".", ".."}:
        raise ValueError("`.` and `..` mean folders in a path, so no speaker can be called so")
    return speaker_id


def plain_text(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("control characters are not allowed")
    return text


def _bounded_json(metadata: dict[str, Any]) -> dict[str, Any]:
    """What every database stores and every client reads back alike."""
    _check_json(metadata, 1)
    try:
        size = len(json.dumps(metadata, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ValueError("text must be valid Unicode; a lone surrogate is not") from error
    except ValueError as error:
        raise ValueError("NaN and infinity are no JSON; send null or leave them out") from error
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"{size} bytes as JSON; at most {MAX_METADATA_BYTES} are kept")
    return metadata


def _check_json(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, str) and "\x00" in value:
        raise ValueError("the character U+0000 is not allowed")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_json(key, depth)
            _check_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_json(item, depth + 1)


SpeakerId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9._~-]{1,128}$"),
    AfterValidator(_no_dot_segment),
    Field(description="1 to 128 of A-Z a-z 0-9 . _ ~ -", examples=["alice"]),
]
DisplayName = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_DISPLAY_NAME_CHARS), AfterValidator(plain_text)
]
MetadataIn = Annotated[
    dict[str, Any],
    AfterValidator(_bounded_json),
    Field(description="The caller's own JSON object, at most 4 KiB and 16 levels deep. It is kept, never used."),
]


class Consent(BaseModel):
    """What the person agreed to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(plain_text)]
    given_at: AwareDatetime = Field(description="With a time zone.")
    expires_at: AwareDatetime | None = Field(None, description="With a time zone, after given_at; null: no end.")

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.expires_at is not None and self.expires_at <= self.given_at:
            raise ValueError(
                f"expires_at is {self.expires_at.isoformat()}; it must be later than given_at, "
                f"{self.given_at.isoformat()}"
            )
        return self


class SpeakerIn(BaseModel):
    """A speaker to be; every field may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    speaker_id: SpeakerId | None = Field(None, description="The caller's own id; left out, one is made.")
    display_name: DisplayName | None = None
    metadata: MetadataIn = Field(default_factory=dict)
    consent: Consent | None = None

    def consent_record(self) -> dict[str, Any] | None:
        return None if self.consent is None else self.consent.model_dump(mode="json")


class SpeakerPatch(BaseModel):
    """What to change: a field left out stays, null clears it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    display_name: DisplayName | None = None
    metadata: MetadataIn | None = None
    consent: Consent | None = None

    def changes(self) -> SpeakerChanges:
        names: tuple[Literal["display_name", "metadata", "consent"], ...] = ("display_name", "metadata", "consent")
        return SpeakerChanges(
            fields=frozenset(name for name in names if name in self.model_fields_set),
            display_name=self.display_name,
            metadata={} if self.metadata is None else self.metadata,
            consent=None if self.consent is None else self.consent.model_dump(mode="json"),
        )
