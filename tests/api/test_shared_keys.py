"""Keys in a store that several processes share: what another one makes or revokes holds here at the next request."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import fake_audio
from api_client import DocumentedClient, problem, serving
from app.access import ApiKey, KeyHasher
from app.usecases.auditing import Auditor
from app.usecases.keys import ApiKeys
from fake_keys import FakeKeyStore
from fake_trail import FakeAuditTrail

UNHEARD = Auditor(FakeAuditTrail())


class SharedKeyStore(FakeKeyStore):
    def __init__(self) -> None:
        super().__init__(is_shared=True)
        self.n_found = 0

    def find(self, key_id: str) -> ApiKey | None:
        self.n_found += 1
        return super().find(key_id)


@pytest.fixture
def store() -> SharedKeyStore:
    return SharedKeyStore()


@pytest.fixture
def others(store: SharedKeyStore) -> ApiKeys:
    """The keys as another process knows them."""
    return ApiKeys(store, KeyHasher(b"shared"), UNHEARD)


@pytest.fixture
def client(store: SharedKeyStore) -> Iterator[DocumentedClient]:
    with serving(fake_audio.components(keys=ApiKeys(store, KeyHasher(b"shared"), UNHEARD))) as client:
        yield client


def status(client: DocumentedClient, *keys: str) -> int:
    headers = [("X-API-Key", key) for key in keys]
    return int(client.get("/v1/model", headers=headers).status_code)


def test_the_first_key_that_another_makes_is_asked_for_here(client: DocumentedClient, others: ApiKeys) -> None:
    assert status(client) == 200
    key = others.create("first", "t", ["verify"]).text
    assert status(client) == 401
    assert status(client, key) == 200


def test_a_key_that_another_makes_opens_and_one_that_it_revokes_does_not(
    client: DocumentedClient, others: ApiKeys
) -> None:
    first, second = (others.create(name, "t", ["verify"]) for name in ("first", "second"))
    assert status(client, first.text) == 200
    third = others.create("third", "t", ["verify"])
    assert [status(client, made.text) for made in (second, third)] == [200, 200]
    others.revoke(third.key.key_id)
    assert [status(client, made.text) for made in (second, third)] == [200, 401]


def test_of_several_keys_in_one_request_none_is_taken_and_one_at_most_looked_up(
    client: DocumentedClient, others: ApiKeys, store: SharedKeyStore
) -> None:
    keys = [others.create(name, "t", ["verify"]).text for name in ("first", "second", "third")]
    store.n_found = 0
    answer = client.get("/v1/model", headers=[("X-API-Key", key) for key in keys])
    assert "different keys" in problem(answer, 401, "unauthenticated")
    assert store.n_found == 1
