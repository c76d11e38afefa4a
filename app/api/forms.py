"""What an upload's form may hold, written once: the reader and the OpenAPI document both follow it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from model.errors import InvalidArgument


@dataclass(frozen=True)
class FileField:
    name: str
    description: str
    is_repeatable: bool = False

    def schema(self) -> dict[str, Any]:
        file = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
        if self.is_repeatable:
            return {"type": "array", "items": file, "minItems": 1, "description": self.description}
        return {**file, "description": self.description}

    def example(self) -> Any:
        return [f"{self.name}-1.wav", f"{self.name}-2.wav"] if self.is_repeatable else f"{self.name}.wav"


@dataclass(frozen=True)
class TextField:
    name: str
    schema: Mapping[str, Any]
    example: Any


OPERATING_POINT = TextField(
    "operating_point",
    {
        "type": "string",
        "maxLength": 100,
        "description": "A name from GET /v1/model; left out, the service's default.",
    },
    "eer",
)
MIN_TOP_K, MAX_TOP_K, DEFAULT_TOP_K = 1, 100, 5
TOP_K = TextField(
    "top_k",
    {
        "type": "integer",
        "minimum": MIN_TOP_K,
        "maximum": MAX_TOP_K,
        "default": DEFAULT_TOP_K,
        "description": "Most candidates to answer with.",
    },
    3,
)
FORCE = TextField(
    "force",
    {
        "type": "string",
        "enum": ["true", "false"],
        "default": "false",
        "description": "`true` enrols clips that do not sound like the speaker's others, which are 422 `inconsistent_voice` "
        "otherwise. The key needs the scope `force`.",
    },
    "false",
)


@dataclass(frozen=True)
class FormShape:
    """Every file is required; every text field may be left out; nothing else is taken."""

    files: tuple[FileField, ...]
    texts: tuple[TextField, ...] = ()

    def file(self, name: str) -> FileField | None:
        return next((field for field in self.files if field.name == name), None)

    def text(self, name: str) -> TextField | None:
        return next((field for field in self.texts if field.name == name), None)

    def names(self) -> str:
        return ", ".join([file.name for file in self.files] + [text.name for text in self.texts])

    def openapi(self) -> dict[str, Any]:
        """The operation's `requestBody`."""
        properties = {file.name: file.schema() for file in self.files}
        properties.update({text.name: dict(text.schema) for text in self.texts})
        schema = {
            "type": "object",
            "properties": properties,
            "required": [file.name for file in self.files],
            "additionalProperties": False,
        }
        example = {file.name: file.example() for file in self.files}
        example.update({text.name: text.example for text in self.texts})
        return {"required": True, "content": {"multipart/form-data": {"schema": schema, "example": example}}}


@dataclass(frozen=True)
class Form:
    """An upload that was read whole and fits its shape."""

    files: Mapping[str, tuple[bytes, ...]]
    texts: Mapping[str, str]

    def file(self, name: str) -> bytes:
        return self.files[name][0]

    @property
    def operating_point(self) -> str | None:
        return self.texts.get(OPERATING_POINT.name)

    @property
    def top_k(self) -> int:
        """Raises InvalidArgument unless it is a whole number in range."""
        text = self.texts.get(TOP_K.name)
        if text is None:
            return DEFAULT_TOP_K
        is_number = text.isascii() and text.isdigit() and len(text) <= 9
        if not is_number or not MIN_TOP_K <= int(text) <= MAX_TOP_K:
            raise InvalidArgument(f"top_k is {text[:80]!r}; it must be a whole number from {MIN_TOP_K} to {MAX_TOP_K}.")
        return int(text)

    @property
    def is_forced(self) -> bool:
        """Raises InvalidArgument unless it is `true` or `false`."""
        text = self.texts.get(FORCE.name, "false")
        if text not in ("true", "false"):
            raise InvalidArgument(f"force is {text[:80]!r}; it must be true or false.")
        return text == "true"
