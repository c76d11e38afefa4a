"""A service without keys: loopback only, and no web page of another origin."""

from __future__ import annotations

import logging

import pytest

import fake_audio
from api_client import DocumentedClient, pair, problem, serving
from app.main import create_app
from fake_audio import clip


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST", "127.0.0.1", "127.0.0.1:8000", "127.8.9.1", "[::1]", "[::1]:8000"],
)
def test_loopback_names_are_served(client: DocumentedClient, host: str) -> None:
    assert client.get("/livez", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *("voice.example", "10.0.0.1", "localhost.voice.example", "127.0.0.1.voice.example", "0.0.0.0", "[::]"),
        *("[::1", "localhost:x", ""),
    ],
)
@pytest.mark.parametrize("path", ["/livez", "/metrics", "/v1/model", "/nothing"])
def test_other_names_are_refused_everywhere(client: DocumentedClient, host: str, path: str) -> None:
    problem(client.get(path, headers={"Host": host}), 403, "forbidden")


def test_two_hosts_are_refused(client: DocumentedClient) -> None:
    problem(client.get("/livez", headers=[("Host", "localhost"), ("Host", "voice.example")]), 403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://voice.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "https://localhost", "Host": "localhost:8000"},
        {"Origin": "http://localhost.voice.example"},
        {"Origin": "chrome-extension://localhost"},
        {"Origin": "http://[localhost"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "Cross-Site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    ],
)
def test_web_pages_of_other_origins_are_refused(client: DocumentedClient, headers: dict[str, str]) -> None:
    answer = client.post("/v1/compare", files=pair(clip(), clip()), headers=headers)
    assert "without keys" in problem(answer, 403, "forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost:80"},
        {"Origin": "http://localhost:8000", "Host": "localhost:8000"},
        {"Origin": "https://localhost"},
        {"Origin": "https://localhost:8443", "Host": "localhost:8443"},
        {"Origin": "http://[::1]:8000", "Host": "[::1]:8000"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_programs_and_the_service_s_own_pages_are_served(client: DocumentedClient, headers: dict[str, str]) -> None:
    assert client.post("/v1/compare", files=pair(clip(), clip()), headers=headers).status_code == 200


def test_allowed_beyond_loopback_any_name_is_served_but_no_other_origin(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="vouch"), serving(host="0.0.0.0", allow_keyless=True) as client:
        assert "VOUCH_ALLOW_KEYLESS" in caplog.text
        assert client.get("/v1/model", headers={"Host": "voice.example"}).status_code == 200
        same = {"Host": "voice.example", "Origin": "https://voice.example"}
        assert client.get("/v1/model", headers=same).status_code == 200
        other = {"Host": "voice.example", "Origin": "https://other.example"}
        problem(client.get("/v1/model", headers=other), 403, "forbidden")


def test_no_warning_where_nothing_is_open(caplog: pytest.LogCaptureFixture) -> None:
    create_app(fake_audio.settings(), fake_audio.components())
    assert "VOUCH_ALLOW_KEYLESS" not in caplog.text
