"""A client that holds every answer to the OpenAPI document: its status must be there, and its media type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import unquote

from fastapi import FastAPI
from starlette.testclient import TestClient

import fake_audio
from app.components import Components
from app.main import create_app

BASE_URL = "http://localhost"
Answer = Any
"""The client's response; its class depends on the HTTP library that Starlette finds."""


class DocumentedClient(TestClient):
    """Checks each answer against the document, for calls that it knows."""

    def __init__(self, app: FastAPI, **options: Any) -> None:
        super().__init__(app, base_url=BASE_URL, raise_server_exceptions=False, **options)

    def request(self, method: str, url: Any, **options: Any) -> Answer:
        answer = super().request(method, url, **options)
        assert answer.headers["X-Request-ID"]
        path = unquote(answer.request.url.raw_path.decode().partition("?")[0])
        for known, pattern, operation in _operations():
            if known == method and pattern.fullmatch(path):
                _check(answer, operation)
        return answer


@cache
def _operations() -> list[tuple[str, re.Pattern[str], dict[str, Any]]]:
    """Method, path and description of every call. No setting changes the document."""
    app = create_app(fake_audio.settings(), fake_audio.components())
    return [
        (method.upper(), re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), operation)
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    ]


def _check(answer: Answer, operation: dict[str, Any]) -> None:
    documented = operation["responses"].get(str(answer.status_code))
    assert documented is not None, f"{answer.status_code} {answer.text} is not in the document"
    content = documented.get("content")
    if content is None:
        assert answer.content == b""
        return
    assert answer.headers["content-type"] in content
    if answer.status_code >= 400:
        examples = content["application/problem+json"]["examples"]
        assert answer.json()["code"] in examples, f"{answer.text} is not among {list(examples)}"


@contextmanager
def serving(components: Components | None = None, **changes: Any) -> Iterator[DocumentedClient]:
    """A started service on fakes; `changes` are settings."""
    settings = fake_audio.settings(**changes)
    app = create_app(settings, components if components is not None else fake_audio.components())
    with DocumentedClient(app) as client:
        yield client


def post_scope(path: str, content_type: str) -> dict[str, Any]:
    """The ASGI scope of a POST, for tests that send the messages themselves."""
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), (b"content-type", content_type.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


def problem(answer: Answer, status: int, code: str) -> str:
    """Checks the shape of a problem and returns its `detail`."""
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["status"] == status
    assert body["type"] == f"urn:vouch:problem:{code}"
    assert body["title"]
    assert body["request_id"] == answer.headers["X-Request-ID"]
    detail = body["detail"]
    assert detail
    assert detail[-1] in ".…", detail
    return str(detail)


def audio(*clips: bytes, field: str = "audio") -> list[tuple[str, tuple[str, bytes]]]:
    """The `files` of an upload."""
    return [(field, (f"{i}.wav", data)) for i, data in enumerate(clips)]


def pair(a: bytes, b: bytes) -> dict[str, tuple[str, bytes]]:
    return {"audio_a": ("a.wav", a), "audio_b": ("b.wav", b)}


def enroll(client: TestClient, speaker_id: str, *clips: bytes, **body: Any) -> Answer:
    """Makes a speaker and enrols clips; by default, enough of them."""
    created = client.post("/v1/speakers", json={"speaker_id": speaker_id, **body})
    assert created.status_code == 201, created.text
    sent = clips or (fake_audio.clip(speaker_id, 1), fake_audio.clip(speaker_id, 2))
    answer = client.post(f"/v1/speakers/{speaker_id}/enrollments", files=audio(*sent))
    assert answer.status_code == 201, answer.text
    return answer.json()
