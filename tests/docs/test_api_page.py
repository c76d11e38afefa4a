"""docs/api.md is the OpenAPI document as a page."""

from __future__ import annotations

from typing import Any

import pytest
import reference

import fake_audio
from app.main import create_app
from pages import ROOT

MAKE_ANEW = (
    "docs/api.md is not the document's: while `make serve` runs, "
    "`curl -fsS http://127.0.0.1:8000/openapi.json | python docs/reference.py > docs/api.md`, and commit it"
)


def document() -> dict[str, Any]:
    return create_app(fake_audio.settings(), fake_audio.components()).openapi()


def test_what_is_committed_is_what_the_document_gives() -> None:
    committed = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    # Not `==`: pytest would print a diff of a thousand lines, and bury the sentence.
    assert (committed == reference.reference(document())) is True, MAKE_ANEW


def test_every_call_has_a_section_and_a_command() -> None:
    page = reference.reference(document())
    for path, methods in document()["paths"].items():
        for method in methods:
            section = page.partition(f"\n### {method.upper()} {path}\n")[2].partition("\n### ")[0]
            assert "```sh\n" in section, f"{method} {path}"
            assert "Refused: " in section, f"{method} {path}"


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "integer"}, "integer"),
        ({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}, "time or null"),
        ({"enum": ["a", "b"], "type": "string"}, "`a` `b`"),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Audio"}}, "list of [Audio](#audio)"),
        ({"type": "array", "prefixItems": [{"type": "number"}] * 2, "maxItems": 2}, "list of 2 numbers"),
    ],
)
def test_types_are_written_for_people(schema: dict[str, Any], text: str) -> None:
    assert reference.type_of(schema) == text


def test_limits_are_said() -> None:
    field = {"type": "integer", "description": "Most of them.", "minimum": 1, "maximum": 200.0, "default": 50}
    assert reference.meaning(field) == "Most of them. At least 1. At most 200. Default `50`."
