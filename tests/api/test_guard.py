"""What the guard says to those whom it refuses, and what it lets through."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.responses import Response
from starlette.routing import Route

import fake_audio
from api_client import DocumentedClient, problem, serving
from app.api.guard import ANY_KEY, need_of
from app.main import create_app
from app.records import DEFAULT_TENANT
from app.usecases.keys import ApiKeys


@pytest.fixture
def keys() -> ApiKeys:
    return fake_audio.api_keys()


@pytest.fixture
def client(keys: ApiKeys) -> Iterator[DocumentedClient]:
    with serving(fake_audio.components(keys=keys)) as client:
        yield client


def test_a_key_that_may_not_is_told_what_it_may(client: DocumentedClient, keys: ApiKeys) -> None:
    def told(*scopes: str) -> str:
        headers = {"X-API-Key": keys.create("k", "t", scopes).text}
        return problem(client.get("/v1/keys", headers=headers), 403, "forbidden")

    assert told("identify", "verify") == "This call needs the scope 'admin'; the key's scopes: verify, identify."
    assert told() == "This call needs the scope 'admin'; the key's scopes: none."


def test_whoever_brings_no_key_or_two_is_told_what_to_send(client: DocumentedClient, keys: ApiKeys) -> None:
    first, second = (keys.create("k", "t", ["verify"]).text for _ in range(2))
    assert problem(client.get("/v1/model"), 401, "unauthenticated") == (
        "This call needs an API key; send it as `Authorization: Bearer KEY` or as `X-API-Key: KEY`."
    )
    both = {"Authorization": f"Bearer {first}", "X-API-Key": second}
    assert problem(client.get("/v1/model", headers=both), 401, "unauthenticated") == (
        "Authorization and X-API-Key bring different keys; send one key."
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-API-Key", "  {}  "),
        ("Authorization", "Bearer {}"),
        ("Authorization", "  BEARER   {}  "),
    ],
)
def test_a_key_is_read_without_the_space_around_it(
    client: DocumentedClient, keys: ApiKeys, name: str, value: str
) -> None:
    headers = {name: value.format(keys.create("k", "t", ["verify"]).text)}
    assert client.get("/v1/model", headers=headers).status_code == 200


def test_open_beyond_loopback_nobody_without_a_key_makes_the_first_one() -> None:
    with serving(allow_keyless=True) as client:
        detail = problem(client.post("/v1/keys", json={"name": "n", "scopes": ["admin"]}), 403, "forbidden")
        assert detail == (
            "VOUCH_ALLOW_KEYLESS is set, so whoever reaches this service would make its keys. Stop it, and make the first "
            "one with `vouch keys create`."
        )
        assert client.get("/v1/speakers").status_code == 200


def test_a_refusal_is_counted_under_its_route(client: DocumentedClient, keys: ApiKeys) -> None:
    headers = {"X-API-Key": keys.create("k", "t", ["metrics"]).text}
    assert client.get("/v1/keys").status_code == 401
    told = client.get("/metrics", headers=headers).text
    assert 'vouch_request_seconds_count{method="GET",route="/v1/keys",status="401"} 1.0' in told


def test_a_route_that_declares_nothing_needs_some_key() -> None:
    assert need_of(Route("/nothing", lambda request: Response())) == ANY_KEY


def test_without_keys_speakers_belong_to_the_default_tenant() -> None:
    parts = fake_audio.components()
    with serving(parts) as client:
        assert client.post("/v1/speakers", json={"speaker_id": "alice"}).status_code == 201
        assert parts.store.get_speaker(DEFAULT_TENANT, "alice").tenant == DEFAULT_TENANT


def test_before_the_start_loopback_names_are_answered_and_no_key_is_asked_for() -> None:
    client = DocumentedClient(create_app(fake_audio.settings(), fake_audio.components()))
    assert client.get("/livez").status_code == 200
    assert client.get("/v1/model").status_code == 503
    problem(client.get("/livez", headers={"Host": "voice.example"}), 403, "forbidden")


def test_only_a_verification_is_a_claim_to_be_a_speaker() -> None:
    parts = fake_audio.components()
    with serving(parts, verify_limit_per_minute=1) as client:
        headers = {"X-API-Key": parts.keys.create("k", "t", ["enroll"]).text}
        assert [client.get("/v1/speakers/nobody", headers=headers).status_code for _ in range(3)] == [404, 404, 404]
