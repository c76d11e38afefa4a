"""The OpenAPI document is complete: every call, every status, an example for every body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel

import fake_audio
from app.api import key_schema, model_schema, requests, schemas
from app.api.metrics import CONTENT_TYPE
from app.main import create_app

DOCUMENT: dict[str, Any] = create_app(fake_audio.settings(), fake_audio.components()).openapi()
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
CONTRACT = {
    "POST /v1/compare": 200,
    "POST /v1/speakers": 201,
    "GET /v1/speakers": 200,
    "GET /v1/speakers/{speaker_id}": 200,
    "PATCH /v1/speakers/{speaker_id}": 200,
    "DELETE /v1/speakers/{speaker_id}": 204,
    "POST /v1/speakers/{speaker_id}/enrollments": 201,
    "GET /v1/speakers/{speaker_id}/enrollments": 200,
    "DELETE /v1/speakers/{speaker_id}/enrollments/{enrollment_id}": 204,
    "POST /v1/speakers/{speaker_id}/verify": 200,
    "POST /v1/identify": 200,
    "POST /v1/embeddings": 200,
    "POST /v1/keys": 201,
    "GET /v1/keys": 200,
    "DELETE /v1/keys/{key_id}": 204,
    "POST /v1/keys/{key_id}/rotate": 201,
    "GET /v1/model": 200,
    "GET /livez": 200,
    "GET /readyz": 200,
    "GET /metrics": 200,
}
PROBLEM = "application/problem+json"


def model_of(schema: dict[str, Any]) -> type[BaseModel]:
    """The class behind a schema, which must be one of the document's."""
    name = schema["$ref"].removeprefix("#/components/schemas/")
    assert name in DOCUMENT["components"]["schemas"]
    for module in (schemas, model_schema, key_schema, requests):
        if hasattr(module, name):
            found = getattr(module, name)
            assert issubclass(found, BaseModel)
            return found
    raise AssertionError(f"no class is called {name}")


def examples_in(content: dict[str, Any]) -> list[Any]:
    several = [example["value"] for example in content.get("examples", {}).values()]
    return several + ([content["example"]] if "example" in content else [])


def bodies() -> Iterator[Any]:
    """(call, media type, content) of every body, asked for or answered."""
    for call, operation in OPERATIONS.items():
        if "requestBody" in operation:
            for media_type, content in operation["requestBody"]["content"].items():
                yield pytest.param(media_type, content, id=f"{call} request")
        for status, response in operation["responses"].items():
            for media_type, content in response.get("content", {}).items():
                yield pytest.param(media_type, content, id=f"{call} {status}")


def test_the_document_has_the_contract_s_calls_and_no_others() -> None:
    assert set(OPERATIONS) == set(CONTRACT)


@pytest.mark.parametrize(("call", "success"), CONTRACT.items())
def test_every_call_is_described(call: str, success: int) -> None:
    operation = OPERATIONS[call]
    assert operation["summary"]
    assert operation["description"]
    known_tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert operation["tags"]
    assert known_tags.issuperset(operation["tags"])
    statuses = set(operation["responses"])
    assert {status for status in statuses if int(status) < 400} == {str(success)}
    assert statuses >= {"403", "413", "500"}
    assert ({"401", "429"} <= statuses) == bool(operation["security"])
    assert all(response["description"] for response in operation["responses"].values())
    assert all(parameter.get("description") for parameter in operation.get("parameters", []))


@pytest.mark.parametrize("call", CONTRACT)
def test_every_error_is_a_problem_with_its_status(call: str) -> None:
    for status, response in OPERATIONS[call]["responses"].items():
        if int(status) >= 400:
            assert set(response["content"]) == {PROBLEM}
            assert {example["status"] for example in examples_in(response["content"][PROBLEM])} == {int(status)}
        assert ("Retry-After" in response.get("headers", {})) == (status in {"429", "503"})
        assert ("WWW-Authenticate" in response.get("headers", {})) == (status == "401")


@pytest.mark.parametrize(("media_type", "content"), list(bodies()))
def test_every_body_has_an_example_that_fits_its_schema(media_type: str, content: dict[str, Any]) -> None:
    examples = examples_in(content)
    assert examples
    for example in examples:
        if media_type == "multipart/form-data":
            schema = content["schema"]
            assert set(schema["required"]) <= set(example) <= set(schema["properties"])
        elif media_type == CONTENT_TYPE:
            assert content["schema"] == {"type": "string"}
            assert [family.name for family in text_string_to_metric_families(example)] == ["vouch_stage_seconds"]
        else:
            model_of(content["schema"]).model_validate_json(json.dumps(example))


def test_everything_that_is_referred_to_is_there() -> None:
    text = json.dumps(DOCUMENT)
    referred = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert referred == set(DOCUMENT["components"]["schemas"])


def test_writing_posts_take_an_idempotency_key() -> None:
    takers = {
        call
        for call, operation in OPERATIONS.items()
        if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", []))
    }
    assert takers == {"POST /v1/speakers", "POST /v1/speakers/{speaker_id}/enrollments"}


def test_audio_fields_are_binary_and_required() -> None:
    form = OPERATIONS["POST /v1/compare"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["audio_a", "audio_b"]
    assert form["properties"]["audio_a"]["format"] == "binary"
    assert set(form["properties"]) == {"audio_a", "audio_b", "operating_point"}
