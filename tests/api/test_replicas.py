"""Two services on one PostgreSQL database: what one was told, the other one knows at the next request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import fake_audio
from api_client import Answer, DocumentedClient, audio, enroll, problem, serving
from app.access import KeyHasher
from app.adapters.database import open_database
from app.adapters.sealing import Sealer
from app.adapters.sql_keys import SqlKeyStore
from app.adapters.sql_store import SqlSpeakerStore
from app.components import Components
from app.usecases.auditing import Auditor
from app.usecases.keys import ApiKeys
from contention import at_once, await_waiting, in_line, locked
from fake_audio import clip
from fakes import FakeAuditTrail
from postgres_files import cut_connections, executed
from samples import MASTER

CONSENT = {"purpose": "login", "given_at": "2026-01-01T00:00:00Z", "expires_at": "2126-01-01T00:00:00Z"}
ALICE = "SELECT FROM speakers WHERE speaker_id = 'alice' FOR UPDATE"


def replica(url: str) -> Components:
    """With connections of its own, as a process has them."""
    database = open_database(url, MASTER)
    keys = ApiKeys(SqlKeyStore(database), KeyHasher(b"shared"), Auditor(FakeAuditTrail()))
    return fake_audio.components(store=SqlSpeakerStore(database, Sealer(MASTER)), keys=keys)


@pytest.fixture
def replicas(postgres_store_url: str) -> Iterator[tuple[DocumentedClient, DocumentedClient]]:
    with ExitStack() as running:
        here, there = (running.enter_context(serving(replica(postgres_store_url))) for _ in range(2))
        yield here, there


Replicas = tuple[DocumentedClient, DocumentedClient]


def verify(client: DocumentedClient, take: int = 9, sound: int | None = None) -> Answer:
    return client.post("/v1/speakers/alice/verify", files=audio(clip("alice", take, sound=sound)))


def test_who_is_made_and_enrolled_on_one_is_verified_on_the_other(replicas: Replicas) -> None:
    here, there = replicas
    assert here.post("/v1/speakers", json={"speaker_id": "alice"}).status_code == 201
    problem(there.post("/v1/speakers", json={"speaker_id": "alice"}), 409, "speaker_exists")
    problem(verify(there), 409, "not_enrolled")
    for take, client in enumerate(replicas):
        added = client.post("/v1/speakers/alice/enrollments", files=audio(clip("alice", take)))
        assert added.json()["speaker"]["enrollment_count"] == take + 1
    assert [verify(client).json()["decision"] for client in replicas] == ["accept"] * 2
    listed = [client.get("/v1/speakers").json() for client in replicas]
    assert listed[0] == listed[1]


def test_who_is_erased_on_one_is_gone_on_the_other(replicas: Replicas) -> None:
    here, there = replicas
    enrollment = enroll(here, "alice")["enrollments"][0]["enrollment_id"]
    assert there.delete(f"/v1/speakers/alice/enrollments/{enrollment}").status_code == 204
    assert len(here.get("/v1/speakers/alice/enrollments").json()["enrollments"]) == 1
    assert there.delete("/v1/speakers/alice").status_code == 204
    problem(verify(here), 404, "speaker_not_found")
    problem(here.post("/v1/speakers/alice/enrollments", files=audio(clip())), 404, "speaker_not_found")
    assert here.get("/v1/speakers").json()["speakers"] == []


def test_a_request_that_is_repeated_on_the_other_is_carried_out_once(replicas: Replicas) -> None:
    here, there = replicas
    key = {"Idempotency-Key": "k"}
    made = here.post("/v1/speakers", json={}, headers=key)
    assert there.post("/v1/speakers", json={}, headers=key).json() == made.json()
    path = f"/v1/speakers/{made.json()['speaker_id']}/enrollments"
    enrolled = there.post(path, files=audio(clip()), headers={"Idempotency-Key": "e"})
    assert here.post(path, files=audio(clip()), headers={"Idempotency-Key": "e"}).json() == enrolled.json()
    problem(here.post(path, files=audio(clip(take=2)), headers={"Idempotency-Key": "e"}), 409, "idempotency_conflict")
    assert len(there.get(path).json()["enrollments"]) == 1


def test_a_request_that_comes_to_both_at_once_is_carried_out_once(replicas: Replicas, postgres_store_url: str) -> None:
    headers = {"Idempotency-Key": "k"}
    calls = [lambda client=client: client.post("/v1/speakers", json={}, headers=headers) for client in replicas]
    told: list[Answer] = in_line(postgres_store_url, "LOCK TABLE idempotency IN SHARE MODE", *calls)
    (made,) = replicas[0].get("/v1/speakers").json()["speakers"]
    assert [(one.status_code, one.json()) for one in told] == [(201, made)] * 2


def test_a_consent_that_is_changed_on_one_holds_on_the_other(replicas: Replicas) -> None:
    here, there = replicas
    enroll(here, "alice", consent=CONSENT)
    changed = there.patch("/v1/speakers/alice", json={"consent": {**CONSENT, "purpose": "payments"}})
    assert here.get("/v1/speakers/alice").json() == changed.json()
    ended = {**CONSENT, "expires_at": "2026-01-02T00:00:00Z"}
    assert there.patch("/v1/speakers/alice", json={"consent": ended}).status_code == 200
    here.app.state.service.use_cases.expiry()
    problem(there.get("/v1/speakers/alice"), 404, "speaker_not_found")


def test_a_recording_that_one_heard_is_known_to_the_other(replicas: Replicas) -> None:
    here, there = replicas
    enroll(here, "alice", clip("alice", 1, sound=1), clip("alice", 2, sound=2))
    assert verify(here, 3, sound=3).json()["flags"] == []
    assert verify(there, 3, sound=3).json()["flags"] == ["replay_suspected"]
    assert verify(there, 2, sound=2).json()["flags"] == ["replay_suspected"]
    again = here.post("/v1/speakers/alice/enrollments", files=audio(clip("alice", 3, sound=3)))
    assert again.json()["flags"] == ["replay_suspected"]


def test_a_key_that_is_made_or_revoked_on_one_holds_on_the_other(replicas: Replicas) -> None:
    here, there = replicas
    first = here.app.state.service.use_cases.keys.create("first", "default", ["admin"])
    admin = {"X-API-Key": first.text}
    problem(there.get("/v1/speakers"), 401, "unauthenticated")
    made = there.post("/v1/keys", json={"name": "second", "scopes": ["verify"]}, headers=admin).json()
    second = {"X-API-Key": made["key"]}
    assert here.get("/v1/model", headers=second).status_code == 200
    assert here.delete(f"/v1/keys/{made['about']['key_id']}", headers=admin).status_code in (200, 204)
    problem(there.get("/v1/model", headers=second), 401, "unauthenticated")


def test_a_connection_that_breaks_is_one_refusal_and_nothing_is_half_done(
    replicas: Replicas, postgres_store_url: str
) -> None:
    here, there = replicas
    enroll(here, "alice")
    with locked(postgres_store_url, ALICE) as other:

        def enroll_more() -> Answer:
            return here.post("/v1/speakers/alice/enrollments", files=audio(clip("alice", 3)))

        def cut() -> None:
            await_waiting(other, 1)
            executed(postgres_store_url, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted")

        refused: Answer = at_once(enroll_more, cut)[0]
    problem(refused, 503, "store_error")
    assert refused.headers["Retry-After"] == "5"
    assert [client.get("/v1/speakers/alice").json()["enrollment_count"] for client in replicas] == [2, 2]
    assert enroll_more().status_code == 201
    cut_connections(postgres_store_url)
    assert [verify(client).json()["decision"] for client in (here, there)] == ["accept"] * 2
