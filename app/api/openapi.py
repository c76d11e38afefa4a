"""The OpenAPI document: every status of every call, with an example for every body."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from app.access import Scope
from app.api.problems import KINDS, MEDIA_TYPE, problem_body
from app.api.schemas import Problem
from app.errors import Forbidden, ModelNotReady, Overloaded, RateLimited, RequestTooLarge, StoreError, Unauthenticated
from model.errors import (
    AudioTooLarge,
    AudioTooLong,
    CorruptAudio,
    InvalidArgument,
    UnsupportedAudio,
    VouchError,
)

EXAMPLE_REQUEST_ID = "req_pT3nJ0xk2ZbYwq8c"
ErrorType = type[VouchError]

ALWAYS: tuple[ErrorType, ...] = (Forbidden, RequestTooLarge, VouchError)
"""What any call may answer."""
KEYED: tuple[ErrorType, ...] = (Unauthenticated, *ALWAYS, RateLimited)
"""What any call may answer that needs a key."""
STORED: tuple[ErrorType, ...] = (*KEYED, InvalidArgument, ModelNotReady, StoreError)
"""What a call on the store may answer besides."""
HEARD: tuple[ErrorType, ...] = (
    *KEYED,
    InvalidArgument,
    AudioTooLarge,
    UnsupportedAudio,
    CorruptAudio,
    AudioTooLong,
    Overloaded,
    ModelNotReady,
)
"""What a call that hears audio may answer besides."""

RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
CHALLENGE = {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}}
HEADERS = {401: CHALLENGE, 429: RETRY_AFTER, 503: RETRY_AFTER}

_BEARER, _API_KEY = "bearer", "api_key"
SECURITY_SCHEMES = {
    _BEARER: {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer vouch_…`"},
    _API_KEY: {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key in a header of its own.",
    },
}


def needs(*scopes: Scope) -> dict[str, Any]:
    """A route's `openapi_extra`: it needs a key with these scopes, any valid key where there are none. The guard reads it."""
    return {"security": [{_BEARER: list(scopes)}, {_API_KEY: list(scopes)}]}


OPEN: dict[str, Any] = {"security": []}
"""A route's `openapi_extra`: it needs no key."""

_NULL = "\x00null"


def kept(example: Any) -> Any:
    """An example whose nulls survive: the framework drops every null on its way into the document."""
    if isinstance(example, dict):
        return {name: kept(value) for name, value in example.items()}
    if isinstance(example, list):
        return [kept(value) for value in example]
    return _NULL if example is None else example


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _restored(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_restored(item) for item in value]
    return None if value == _NULL else value


def answers(
    success: int,
    description: str,
    example: Any,
    *errors: ErrorType,
    headers: Mapping[str, Any] | None = None,
    media_type: str = "application/json",
) -> dict[int | str, dict[str, Any]]:
    """A route's `responses`: the good one with its example, and each problem under its status."""
    good: dict[str, Any] = {"description": description}
    if example is not None:
        good["content"] = {media_type: {"example": kept(example)}}
    if headers:
        good["headers"] = dict(headers)
    return {success: good, **_problems(errors)}


def _problems(errors: tuple[ErrorType, ...]) -> dict[int | str, dict[str, Any]]:
    by_status: dict[int | str, list[str]] = defaultdict(list)
    for code in dict.fromkeys(error.code for error in errors):
        by_status[KINDS[code].status].append(code)
    return {status: _problem(codes) for status, codes in sorted(by_status.items())}


def _problem(codes: list[str]) -> dict[str, Any]:
    examples = {
        code: {"summary": KINDS[code].meaning, "value": problem_body(code, KINDS[code].example, EXAMPLE_REQUEST_ID)}
        for code in codes
    }
    response: dict[str, Any] = {
        "description": " / ".join(KINDS[code].title for code in codes),
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
    }
    if headers := HEADERS.get(KINDS[codes[0]].status):
        response["headers"] = headers
    return response


def takes_form(route: BaseRoute) -> bool:
    """Whether the document says that a route takes an upload."""
    extra = (route.openapi_extra or {}) if isinstance(route, APIRoute) else {}
    return "multipart/form-data" in extra.get("requestBody", {}).get("content", {})


TAGS = [
    {"name": "compare", "description": "Two clips: one voice?"},
    {"name": "speakers", "description": "The people the service knows."},
    {"name": "enrollments", "description": "The clips they gave."},
    {"name": "verify", "description": "A clip and a speaker: is it that person?"},
    {"name": "identify", "description": "A clip: who is it, or nobody?"},
    {"name": "embeddings", "description": "Raw embeddings, switched off unless asked for."},
    {"name": "model", "description": "What is loaded, how well it was measured, and its limits."},
    {"name": "keys", "description": "Who may ask, and what. For whoever runs the service."},
    {"name": "probes", "description": "For whoever runs the service."},
]

DESCRIPTION = """Speaker verification that you run yourself. Uploads are `multipart/form-data`; answers are JSON; errors are
`application/problem+json` with a stable `code`. Formats: WAV, FLAC, MP3, Ogg Vorbis, Ogg Opus, WebM Opus, M4A/AAC;
8 to 192 kHz, up to 8 channels. Every answer has an `X-Request-ID`; send one and it is kept. Every answer
has a `Server-Timing` header: where its milliseconds went. A service that has API keys asks for one, with the scope that a
call names in its `security`; one without keys answers to programs on its own machine only."""


def install(app: FastAPI) -> None:
    """Makes the document complete where the framework's own would not be."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            # Problems are no route's return type, so the framework does not know their schema.
            schema["components"]["schemas"]["Problem"] = Problem.model_json_schema(mode="serialization")
            schema["components"]["securitySchemes"] = SECURITY_SCHEMES
            app.openapi_schema = _restored(schema)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
