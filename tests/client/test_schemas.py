"""The typed dicts are the service's own schemas."""

from __future__ import annotations

from typing import Any

import pytest

import fake_audio
import generate
from app.main import create_app
from vouch_client import schemas


def document() -> dict[str, Any]:
    return create_app(fake_audio.settings()).openapi()


def test_what_is_committed_is_what_the_service_s_document_gives() -> None:
    committed = generate.TARGET.read_text(encoding="utf-8")
    assert committed == generate.module(document()), "run `python client/generate.py` and commit what it writes"


def test_every_schema_has_its_fields_and_says_which_may_be_missing() -> None:
    described = document()["components"]["schemas"]
    for name in described.keys() - generate.LEFT_OUT:
        typed = getattr(schemas, name)
        fields, required = set(described[name]["properties"]), set(described[name].get("required", []))
        assert (typed.__required_keys__, typed.__optional_keys__) == (required, fields - required), name


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        ({"type": "integer"}, "int"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "str | None"),
        ({"type": "string", "enum": ["a", "b"]}, 'Literal["a", "b"]'),
        ({"type": "string", "const": "a"}, 'Literal["a"]'),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Audio"}}, "list[Audio]"),
        ({"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}]}, "list[float]"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "dict[str, float]"),
        ({"type": "object", "additionalProperties": True}, "dict[str, Any]"),
    ],
)
def test_a_schema_is_an_annotation(schema: dict[str, Any], annotation: str) -> None:
    assert generate.python_type(schema) == annotation


def test_a_schema_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no annotation"):
        generate.python_type({"type": "object", "properties": {}})
