"""Every call of both clients, against a service on written audio."""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import fake_audio
from api_client import BASE_URL, DocumentedClient, serving
from app.main import create_app
from vouch_client import AsyncVouch, BadClip, SpeakerExists, SpeakerNotFound, Unauthenticated, Vouch
from vouch_client.errors import EnrollmentNotFound, InvalidArgument
from vouch_client.schemas import VerificationAnswer
from vouch_clients import InProcess, Kind, connect

ALICE = [fake_audio.clip("alice", take) for take in (1, 2, 3)]
BOB = fake_audio.clip("bob", 1)


@pytest.fixture
def service() -> Iterator[DocumentedClient]:
    with serving(embeddings_enabled=True) as client:
        yield client


@pytest.fixture
def vouch(kind: Kind, service: DocumentedClient) -> Any:
    return connect(kind, InProcess(service), [])


def enrol_alice(vouch: Any) -> None:
    vouch.create_speaker(speaker_id="alice")
    vouch.enroll("alice", ALICE[:2])


def test_compare_takes_bytes_paths_and_open_files(vouch: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.written"
    path.write_bytes(ALICE[0])
    for clip in (ALICE[0], path, str(path), io.BytesIO(ALICE[0])):
        answer = vouch.compare(clip, ALICE[1])
        assert answer["decision"] == "accept"
        assert [audio["format"] for audio in answer["audio"]] == ["written", "written"]
    assert vouch.compare(ALICE[0], BOB, operating_point="fmr_1e-2")["threshold"]["operating_point"] == "fmr_1e-2"


def test_a_clip_that_cannot_be_read_is_said_before_anything_is_sent(vouch: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        vouch.verify("alice", tmp_path / "missing.wav")
    with pytest.raises(TypeError, match="binary mode"):
        vouch.verify("alice", io.StringIO("text"))


def test_a_speaker_is_made_read_changed_and_erased(vouch: Any) -> None:
    consent = {"purpose": "tests", "given_at": "2026-01-31T12:00:00Z", "expires_at": None}
    made = vouch.create_speaker(speaker_id="alice", display_name="Alice", metadata={"n": 1}, consent=consent)
    assert made == vouch.speaker("alice")
    assert (made["display_name"], made["metadata"], made["status"]) == ("Alice", {"n": 1}, "empty")
    assert vouch.change_speaker("alice", display_name=None)["display_name"] is None
    assert vouch.speaker("alice")["metadata"] == {"n": 1}
    assert vouch.erase_speaker("alice") is None
    with pytest.raises(SpeakerNotFound):
        vouch.speaker("alice")


def test_a_speaker_without_an_id_gets_one_of_its_own(vouch: Any) -> None:
    first, second = vouch.create_speaker(), vouch.create_speaker()
    assert first["speaker_id"] != second["speaker_id"]


def test_speakers_come_from_every_page(vouch: Any) -> None:
    assert list(vouch.speakers()) == []
    ids = [f"speaker-{i}" for i in range(5)]
    for speaker_id in ids:
        vouch.create_speaker(speaker_id=speaker_id)
    assert [speaker["speaker_id"] for speaker in vouch.speakers(page_size=2)] == ids


def test_clips_are_enrolled_listed_and_taken_back(vouch: Any) -> None:
    vouch.create_speaker(speaker_id="alice")
    enrolled = vouch.enroll("alice", ALICE[:2])
    assert enrolled["speaker"]["status"] == "enrolled"
    assert vouch.enrollments("alice") == enrolled["enrollments"]
    first, second = (enrollment["enrollment_id"] for enrollment in enrolled["enrollments"])
    assert vouch.take_back("alice", first) is None
    assert [enrollment["enrollment_id"] for enrollment in vouch.enrollments("alice")] == [second]
    with pytest.raises(EnrollmentNotFound):
        vouch.take_back("alice", first)


def test_another_voice_is_enrolled_by_force_only(vouch: Any) -> None:
    enrol_alice(vouch)
    with pytest.raises(BadClip) as refused:
        vouch.enroll("alice", [BOB])
    assert refused.value.code == "inconsistent_voice"
    assert vouch.enroll("alice", [BOB], force=True)["speaker"]["enrollment_count"] == 3


@pytest.mark.parametrize("clips", [b"one clip", "one.wav", []])
def test_enroll_takes_a_list_of_clips(clips: Any, vouch: Any) -> None:
    with pytest.raises(ValueError, match="list of clips"):
        vouch.enroll("alice", clips)


def test_verify_accepts_the_speaker_and_rejects_another(vouch: Any) -> None:
    enrol_alice(vouch)
    assert vouch.verify("alice", ALICE[2])["decision"] == "accept"
    rejected = vouch.verify("alice", BOB, operating_point="fmr_1e-2")
    assert (rejected["decision"], rejected["threshold"]["operating_point"]) == ("reject", "fmr_1e-2")


def test_identify_names_the_speaker(vouch: Any) -> None:
    enrol_alice(vouch)
    answer = vouch.identify(ALICE[2], top_k=1, operating_point="eer")
    assert [candidate["speaker_id"] for candidate in answer["candidates"]] == ["alice"]
    with pytest.raises(InvalidArgument, match="top_k"):
        vouch.identify(ALICE[2], top_k=0)


def test_embed_gives_the_embedding(vouch: Any) -> None:
    answer = vouch.embed(BOB)
    assert len(answer["embedding"]) == answer["n_embedding"] == fake_audio.N_EMBEDDING


def test_the_model_tells_of_itself(vouch: Any) -> None:
    assert vouch.model()["id"] == "written-bundle"


def test_it_is_ready_once_it_serves(vouch: Any) -> None:
    assert vouch.is_ready() is True


def test_keys_are_made_rotated_listed_and_revoked(kind: Kind, service: DocumentedClient, vouch: Any) -> None:
    made = vouch.create_key(name="first", scopes=["admin"])
    with pytest.raises(Unauthenticated):
        vouch.api_keys()
    admin = connect(kind, InProcess(service), [], key=made["key"])
    assert [key["key_id"] for key in admin.api_keys()] == [made["about"]["key_id"]]
    rotated = admin.rotate_key(made["about"]["key_id"], overlap_s=3600)
    assert rotated["about"]["scopes"] == ["admin"]
    admin.revoke_key(made["about"]["key_id"])
    with pytest.raises(Unauthenticated):
        admin.api_keys()
    successor = connect(kind, InProcess(service), [], key=rotated["key"])
    assert [key["revoked_at"] is None for key in successor.api_keys()] == [False, True]


def test_an_enroll_whose_answer_was_lost_enrols_once(kind: Kind, service: DocumentedClient) -> None:
    transport, waits = InProcess(service), list[float]()
    vouch = connect(kind, transport, waits)
    vouch.create_speaker(speaker_id="alice")
    transport.n_to_lose = 2
    enrolled = vouch.enroll("alice", ALICE[:2])
    assert len(waits) == 2
    assert vouch.enrollments("alice") == enrolled["enrollments"]
    assert len(enrolled["enrollments"]) == 2


def test_a_speaker_whose_answer_was_lost_is_made_once(kind: Kind, service: DocumentedClient) -> None:
    transport = InProcess(service)
    vouch = connect(kind, transport, [])
    transport.n_to_lose = 1
    made = vouch.create_speaker()
    assert [speaker["speaker_id"] for speaker in vouch.speakers()] == [made["speaker_id"]]


def test_a_call_made_again_under_its_own_key_answers_as_the_first_did(vouch: Any) -> None:
    first = vouch.create_speaker(speaker_id="alice", idempotency_key="order-4711")
    assert vouch.create_speaker(speaker_id="alice", idempotency_key="order-4711") == first
    with pytest.raises(SpeakerExists):
        vouch.create_speaker(speaker_id="alice")


def test_the_awaiting_client_asks_an_asgi_app_for_much_at_once() -> None:
    app = create_app(fake_audio.settings(), fake_audio.components())

    async def ask() -> list[VerificationAnswer]:
        async with app.router.lifespan_context(app), AsyncVouch(BASE_URL, transport=httpx2.ASGITransport(app)) as vouch:
            await vouch.create_speaker(speaker_id="alice")
            await vouch.enroll("alice", ALICE[:2])
            return await asyncio.gather(*(vouch.verify("alice", clip) for clip in (ALICE[2], BOB)))

    assert [answer["decision"] for answer in asyncio.run(ask())] == ["accept", "reject"]


def test_both_clients_have_the_same_calls() -> None:
    def calls(kind: Kind) -> dict[str, list[tuple[str, object]]]:
        return {
            name: [(parameter.name, parameter.default) for parameter in inspect.signature(method).parameters.values()]
            for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_") and name not in ("close", "aclose")
        }

    assert calls(Vouch) == calls(AsyncVouch)
