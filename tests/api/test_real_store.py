"""The service on the real store and the real gallery: what one run enrolled, the next one knows."""

from __future__ import annotations

from pathlib import Path

import pytest

import fake_audio
from api_client import audio, enroll, problem, serving
from app.adapters.faiss_gallery import FaissGallery
from app.adapters.sql_store import open_store
from app.components import Components
from fake_audio import N_EMBEDDING, clip
from samples import ENCODER_ID, MASTER


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_store_url"))
    return f"sqlite:///{tmp_path}/vouch.db"


def parts(url: str) -> Components:
    return fake_audio.components(store=open_store(url, MASTER), gallery=FaissGallery(ENCODER_ID, N_EMBEDDING))


def test_a_restart_remembers_the_enrolled_and_forgets_the_erased(url: str) -> None:
    consent = {"purpose": "login", "given_at": "2026-01-01T00:00:00Z", "expires_at": None}
    with serving(parts(url)) as client:
        enroll(client, "alice", display_name="Älice", metadata={"n": [1, None, 1.5]}, consent=consent)
        enroll(client, "bob")
        alice = client.get("/v1/speakers/alice").json()
        assert client.delete("/v1/speakers/bob").status_code == 204
    with serving(parts(url)) as client:
        assert client.get("/v1/speakers/alice").json() == alice
        assert (alice["consent"], alice["metadata"]) == (consent, {"n": [1, None, 1.5]})
        found = client.post("/v1/identify", files=audio(clip("alice", 9))).json()
        assert (found["decision"], [candidate["speaker_id"] for candidate in found["candidates"]]) == (
            "accept",
            ["alice"],
        )
        assert found["candidates"][0]["display_name"] == "Älice"
        assert client.post("/v1/speakers/alice/verify", files=audio(clip("alice", 9))).json()["decision"] == "accept"
        problem(client.post("/v1/speakers/bob/verify", files=audio(clip("bob"))), 404, "speaker_not_found")


def test_errors_of_the_real_store_are_those_of_the_contract(url: str) -> None:
    with serving(parts(url)) as client:
        enroll(client, "alice")
        problem(client.post("/v1/speakers", json={"speaker_id": "alice"}), 409, "speaker_exists")
        problem(client.get("/v1/speakers/bob"), 404, "speaker_not_found")
        problem(client.delete("/v1/speakers/alice/enrollments/none"), 404, "enrollment_not_found")
        problem(client.get("/v1/speakers?cursor=made-up"), 422, "invalid_argument")
        key = {"Idempotency-Key": "k"}
        first = client.post("/v1/speakers/alice/enrollments", files=audio(clip(take=3)), headers=key)
        again = client.post("/v1/speakers/alice/enrollments", files=audio(clip(take=3)), headers=key)
        assert first.json() == again.json()
        problem(client.post("/v1/speakers", json={}, headers=key), 409, "idempotency_conflict")
