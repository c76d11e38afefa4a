"""Every route × scope × tenant. The table is written by hand; a route without a row in it fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import WebSocketDenialResponse

import fake_audio
from api_client import Answer, DocumentedClient, audio, enroll, pair, problem, serving
from app.access import SCOPES
from app.components import Components
from app.main import create_app
from fake_audio import clip

OPEN, ANY = "open", "any key"
NEEDS = {
    "POST /v1/compare": "compare",
    "POST /v1/speakers/{speaker_id}/verify": "verify",
    "WS /v1/speakers/{speaker_id}/verify/stream": "verify",
    "POST /v1/identify": "identify",
    "POST /v1/embeddings": "embeddings",
    "POST /v1/speakers": "enroll",
    "GET /v1/speakers": "enroll",
    "GET /v1/speakers/{speaker_id}": "enroll",
    "PATCH /v1/speakers/{speaker_id}": "enroll",
    "DELETE /v1/speakers/{speaker_id}": "erase",
    "POST /v1/speakers/{speaker_id}/enrollments": "enroll",
    "GET /v1/speakers/{speaker_id}/enrollments": "enroll",
    "DELETE /v1/speakers/{speaker_id}/enrollments/{enrollment_id}": "erase",
    "POST /v1/keys": "admin",
    "GET /v1/keys": "admin",
    "DELETE /v1/keys/{key_id}": "admin",
    "POST /v1/keys/{key_id}/rotate": "admin",
    "GET /v1/model": ANY,
    "GET /openapi.json": ANY,
    "HEAD /openapi.json": ANY,
    "GET /metrics": "metrics",
    "GET /livez": OPEN,
    "HEAD /livez": OPEN,
    "GET /readyz": OPEN,
    "HEAD /readyz": OPEN,
    "GET /": OPEN,
    "HEAD /": OPEN,
    "GET /console/{file:path}": OPEN,
    "HEAD /console/{file:path}": OPEN,
}
OF_A_SPEAKER = [call for call in NEEDS if "{speaker_id}" in call]
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/compare": {"files": pair(clip(), clip(take=2))},
    "POST /v1/speakers/{speaker_id}/verify": {"files": audio(clip(take=9))},
    "POST /v1/identify": {"files": audio(clip(take=9))},
    "POST /v1/embeddings": {"files": audio(clip())},
    "POST /v1/speakers": {"json": {}},
    "PATCH /v1/speakers/{speaker_id}": {"json": {"display_name": "A"}},
    "POST /v1/speakers/{speaker_id}/enrollments": {"files": audio(clip(take=3))},
    "POST /v1/keys": {"json": {"name": "n", "scopes": ["verify"]}},
    "POST /v1/keys/{key_id}/rotate": {"json": {}},
}


class World:
    """A service with Alice enrolled for one tenant, and keys for as many as a test asks."""

    def __init__(self, client: DocumentedClient, parts: Components) -> None:
        self.client = client
        self.keys = parts.keys
        owner = self.key(*SCOPES)
        client.headers["X-API-Key"] = owner
        self.enrolled = enroll(client, "alice")["enrollments"][0]["enrollment_id"]
        del client.headers["X-API-Key"]

    def key(self, *scopes: Any, tenant: str = "ours") -> str:
        return self.keys.create("test", tenant, scopes).text

    def call(self, call: str, key: str | None, speaker_id: str = "alice", **headers: str) -> Answer:
        method, _, path = call.partition(" ")
        if "{key_id}" in path:
            path = path.replace("{key_id}", self.keys.create("other", "ours", ["verify"]).key.key_id)
        path = path.replace("{speaker_id}", speaker_id).replace("{enrollment_id}", self.enrolled)
        path = path.replace("{file:path}", "js/main.js")
        sent = headers if key is None else {"X-API-Key": key, **headers}
        if method == "WS":
            return self._handshake(path, sent)
        return self.client.request(method, path, headers=sent, **BODIES.get(call, {}))

    def _handshake(self, path: str, headers: dict[str, str]) -> Any:
        """Its answer where it is refused, at once or by the first message; else one with the status 200."""
        try:
            with self.client.websocket_connect(path, headers=headers) as stream:
                stream.send_json({"format": "pcm_s16le", "sample_rate_hz": 16000})
                stream.send_json({"end": True})
                told = stream.receive_json()
        except WebSocketDenialResponse as refused:
            return refused
        told = told["problem"]
        # Nobody spoke, which is said only to whoever may ask.
        status = 200 if told["code"] == "audio_corrupt" else told["status"]
        headers = {"content-type": "application/problem+json", "X-Request-ID": told["request_id"]}
        return httpx2.Response(status, json=told, headers=headers)


@pytest.fixture
def world() -> Iterator[World]:
    parts = fake_audio.components()
    with serving(parts, embeddings_enabled=True) as client:
        yield World(client, parts)


def test_every_route_has_its_row() -> None:
    app = create_app(fake_audio.settings(), fake_audio.components())
    calls = set()
    pending = list(app.routes)
    while pending:
        route = pending.pop()
        inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
        if inner:
            pending.extend(inner)
            continue
        if isinstance(route, WebSocketRoute):
            calls.add(f"WS {route.path}")
            continue
        assert isinstance(route, Route), f"{route!r}: say here what it needs"
        calls |= {f"{method} {route.path}" for method in route.methods or ()}
    assert calls == set(NEEDS)


@pytest.mark.parametrize("call", NEEDS)
def test_a_call_takes_the_scope_it_needs_and_no_other(world: World, call: str) -> None:
    need = NEEDS[call]
    if need == OPEN:
        assert world.call(call, None).status_code == 200
        assert world.call(call, "vouch_nobody_nothing").status_code == 200
        return
    answer = world.call(call, None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    if need == ANY:
        assert {world.call(call, world.key(scope)).status_code for scope in SCOPES} == {200}
        return
    for others in [(), *[(scope,) for scope in SCOPES if scope != need], [s for s in SCOPES if s != need]]:
        assert repr(need) in problem(world.call(call, world.key(*others)), 403, "forbidden")
    assert world.call(call, world.key(need)).status_code in (200, 201, 204)


@pytest.mark.parametrize("call", OF_A_SPEAKER)
def test_another_tenant_s_speaker_is_one_that_never_was(world: World, call: str) -> None:
    theirs = world.key(*SCOPES, tenant="theirs")
    found, never = world.call(call, theirs), world.call(call, theirs, "nobody")
    problem(found, 404, "speaker_not_found")
    assert found.text.replace("alice", "nobody").replace(found.json()["request_id"], "") == never.text.replace(
        never.json()["request_id"], ""
    )
    assert world.call(call, world.key(*SCOPES)).status_code in (200, 201, 204)


def test_another_tenant_finds_lists_and_blocks_nobody(world: World) -> None:
    theirs = world.key(*SCOPES, tenant="theirs")
    assert world.call("POST /v1/identify", theirs).json()["candidates"] == []
    assert world.call("GET /v1/speakers", theirs).json()["speakers"] == []
    made = world.client.post("/v1/speakers", json={"speaker_id": "alice"}, headers={"X-API-Key": theirs})
    assert made.status_code == 201


def test_no_invalid_key_is_told_from_another(world: World) -> None:
    key = world.key("compare")
    key_id = key.split("_")[1]
    revoked = world.key("compare")
    world.keys.revoke(revoked.split("_")[1])
    bad = ["", "x", key[:-1], key + "0", f"vouch_{key_id}_", f"vouch_{'0' * 16}_{key.split('_')[2]}", revoked]
    told = {problem(world.call("POST /v1/compare", one), 401, "unauthenticated") for one in bad}
    assert len(told) == 1


def test_both_headers_may_bring_one_key_but_not_two(world: World) -> None:
    key, other = world.key("compare"), world.key("compare")
    call = "POST /v1/compare"
    assert world.call(call, None, Authorization=f"Bearer {key}").status_code == 200
    assert world.call(call, None, Authorization=f"bearer  {key}").status_code == 200
    assert world.call(call, key, Authorization=f"Bearer {key}").status_code == 200
    assert world.call(call, key, Authorization="Basic eDp5").status_code == 200
    assert "different keys" in problem(world.call(call, key, Authorization=f"Bearer {other}"), 401, "unauthenticated")
    problem(world.call(call, None, Authorization=f"Basic {key}"), 401, "unauthenticated")


def test_a_revocation_holds_at_once_and_the_last_one_opens_nothing(world: World) -> None:
    admin, used = world.key("admin"), world.key("compare")
    assert world.call("POST /v1/compare", used).status_code == 200
    answer = world.client.delete(f"/v1/keys/{used.split('_')[1]}", headers={"X-API-Key": admin})
    assert answer.status_code == 204
    problem(world.call("POST /v1/compare", used), 401, "unauthenticated")
    for key in world.keys.list():
        world.keys.revoke(key.key_id)
    problem(world.call("POST /v1/compare", None), 401, "unauthenticated")


def test_a_rotated_key_is_replaced(world: World) -> None:
    admin, old = world.key("admin"), world.key("compare")
    path = f"/v1/keys/{old.split('_')[1]}/rotate"
    kept = world.client.post(path, json={"overlap_s": 60}, headers={"X-API-Key": admin}).json()
    assert kept["about"]["scopes"] == ["compare"]
    assert {world.call("POST /v1/compare", key).status_code for key in (old, kept["key"])} == {200}
    assert world.client.post(path, json={}, headers={"X-API-Key": admin}).status_code == 201
    problem(world.call("POST /v1/compare", old), 401, "unauthenticated")
    problem(world.client.post(path, json={}, headers={"X-API-Key": admin}), 404, "key_not_found")


def test_refusals_come_before_the_body(world: World) -> None:
    """A body that is past every limit would be 413 if anything looked at it first."""
    for path in ("/v1/compare", "/v1/speakers"):
        send = {"content": bytes(60 * 1024 * 1024)}
        assert world.client.post(path, **send).status_code == 401
        assert world.client.post(path, headers={"X-API-Key": world.key("verify")}, **send).status_code == 403
        allowed = {"X-API-Key": world.key("compare", "enroll")}
        assert world.client.post(path, headers=allowed, **send).status_code == 413


def test_scores_are_coarse_without_the_scope(world: World) -> None:
    for call, need in (("POST /v1/compare", "compare"), ("POST /v1/speakers/{speaker_id}/verify", "verify")):
        exact = world.call(call, world.key(need, "scores")).json()
        coarse = world.call(call, world.key(need)).json()
        assert exact["llr"] != coarse["llr"] == round(exact["llr"])
        assert coarse["score"] == pytest.approx(round(exact["score"] * 20) / 20)
        assert coarse["threshold"]["score"] == pytest.approx(round(exact["threshold"]["score"] * 20) / 20)
        assert coarse["probability"] != exact["probability"]
        assert coarse["decision"] == exact["decision"]
    exact, coarse = (
        world.call("POST /v1/identify", world.key("identify", *more)).json()["candidates"][0]
        for more in (["scores"], [])
    )
    assert exact["llr"] != coarse["llr"] == round(exact["llr"])
    assert coarse["score"] == pytest.approx(round(exact["score"] * 20) / 20)
    assert coarse["probability"] != exact["probability"]


def test_no_key_is_written_down(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        key = world.key(*SCOPES)
        for call in NEEDS:
            assert key not in world.call(call, key).text
            world.call(call, key[:-1])
    assert caplog.records
    written = caplog.text + "".join(repr(one) for one in world.keys.list()) + repr(world.keys.new("n", "t", SCOPES))
    assert key.split("_")[2][:16] not in written
    assert key.split("_")[2] not in str(vars(world.keys))


def test_calls_and_claims_are_limited() -> None:
    parts = fake_audio.components()
    with serving(parts, rate_limit_per_minute=5, verify_limit_per_minute=2) as client:
        claims = [parts.keys.create("k", "t", ["verify", "compare"]).text for _ in range(2)]
        for key in claims:  # each has limits of its own
            headers = {"X-API-Key": key}
            send = {"files": audio(clip()), "headers": headers}
            assert [client.post("/v1/speakers/x/verify", **send).status_code for _ in range(3)] == [404, 404, 429]
            assert client.post("/v1/speakers/y/verify", **send).status_code == 404
            assert client.get("/v1/model", headers=headers).status_code == 200
            answer = client.get("/v1/model", headers=headers)
            assert "VOUCH_RATE_LIMIT_PER_MINUTE" in problem(answer, 429, "rate_limited")
            assert 1 <= int(answer.headers["Retry-After"]) <= 60


def test_without_keys_the_first_one_is_made_over_loopback_only() -> None:
    body = {"name": "n", "scopes": ["admin"]}
    with serving() as client:
        made = client.post("/v1/keys", json=body)
        assert made.status_code == 201
        problem(client.get("/v1/model"), 401, "unauthenticated")
        assert client.get("/v1/model", headers={"X-API-Key": made.json()["key"]}).status_code == 200
        assert client.get("/livez", headers={"Host": "voice.example"}).status_code == 200
    with serving(allow_keyless=True) as client:
        assert "vouch keys create" in problem(client.post("/v1/keys", json=body), 403, "forbidden")
