"""Whom the voice commands ask: the use cases of this process and a service, held to the same tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import fake_audio
from api_client import BASE_URL, DocumentedClient, serving
from app.audit import COMMAND
from app.cli_local import LocalVoices
from app.cli_served import ServedVoices
from app.cli_voices import Voices, enroll_or_make
from app.components import Components
from app.errors import IdempotencyConflict, NotEnrolled, SpeakerExists, SpeakerNotFound
from app.records import DEFAULT_TENANT
from fake_audio import clip
from fake_trail import FakeAuditTrail
from model.errors import (
    AudioTooLarge,
    CorruptAudio,
    InvalidArgument,
    NotEnoughSpeech,
    ServiceError,
    UnsupportedAudio,
    VouchError,
)
from vouch_client import Vouch
from vouch_clients import InProcess

SETTINGS = fake_audio.settings(max_upload_mb=0.001)


@pytest.fixture
def parts() -> Components:
    return fake_audio.components()


@pytest.fixture
def client(parts: Components) -> Iterator[DocumentedClient]:
    with serving(parts, max_upload_mb=0.001) as client:
        yield client


def served(client: DocumentedClient) -> ServedVoices:
    return ServedVoices(Vouch(BASE_URL, key="", transport=InProcess(client)), BASE_URL)


def local(parts: Components) -> LocalVoices:
    return LocalVoices(parts, SETTINGS, DEFAULT_TENANT)


@pytest.fixture(params=["local", "served"])
def voices(request: pytest.FixtureRequest, parts: Components, client: DocumentedClient) -> Voices:
    """Both on the same parts."""
    return local(parts) if request.param == "local" else served(client)


def without_ids(answer: Any) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "request_id"}


def test_both_answer_alike(parts: Components, client: DocumentedClient) -> None:
    here, there = local(parts), served(client)
    here.create_speaker("alice", "Alice")
    here.enroll("alice", [clip(), clip(take=2)])
    probe = clip(take=3)
    assert without_ids(here.compare(clip(), probe, None)) == without_ids(there.compare(clip(), probe, None))
    assert without_ids(here.verify("alice", probe, "fmr_1e-2")) == without_ids(there.verify("alice", probe, "fmr_1e-2"))
    assert without_ids(here.identify(probe, 3, None)) == without_ids(there.identify(probe, 3, None))
    assert here.speaker("alice") == there.speaker("alice")
    assert here.enrollments("alice") == there.enrollments("alice")
    assert list(here.speakers()) == list(there.speakers())


def test_a_speaker_lives(voices: Voices) -> None:
    assert voices.create_speaker("alice", None)["status"] == "empty"
    assert voices.rename("alice", "Alice")["display_name"] == "Alice"
    assert voices.enroll("alice", [clip(), clip(take=2)])["speaker"]["status"] == "enrolled"
    voices.erase("alice")
    assert list(voices.speakers()) == []


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda voices: voices.verify("bob", clip(), None), SpeakerNotFound),
        (lambda voices: voices.verify("alice", clip(), None), NotEnrolled),
        (lambda voices: voices.create_speaker("alice", None), SpeakerExists),
        (lambda voices: voices.create_speaker("a b", None), InvalidArgument),
        (lambda voices: voices.rename("alice", "x" * 201), InvalidArgument),
        (lambda voices: voices.compare(b"no sound", clip(), None), UnsupportedAudio),
        (lambda voices: voices.compare(clip(), clip(), "never"), InvalidArgument),
        (lambda voices: voices.identify(b"", 1, None), CorruptAudio),
        (lambda voices: voices.identify(clip() + bytes(1100), 1, None), AudioTooLarge),
        (lambda voices: voices.enroll("alice", [clip()] * 11), InvalidArgument),
        (lambda voices: voices.enroll("alice", [clip(speech_s=0.1)]), NotEnoughSpeech),
    ],
)
def test_a_refusal_is_of_the_same_class_here_and_there(call: Any, error: type[VouchError], voices: Voices) -> None:
    voices.create_speaker("alice", None)
    with pytest.raises(error) as raised:
        call(voices)
    assert type(raised.value).code == error.code
    assert str(raised.value)[-1] == "."


def test_a_key_that_was_used_here_is_known_there(parts: Components, client: DocumentedClient) -> None:
    here, there = local(parts), served(client)
    first = enroll_or_make(there, "alice", None, [clip()], idempotency_key="k")
    again = enroll_or_make(here, "alice", None, [clip()], idempotency_key="k")
    assert again["enrollments"] == first["enrollments"]
    for voices in (here, there):
        with pytest.raises(IdempotencyConflict):
            voices.enroll("alice", [clip(take=2)], idempotency_key="k")


def test_no_id_of_another_path_is_sent(voices: Voices) -> None:
    with pytest.raises(InvalidArgument, match="speaker_id"):
        enroll_or_make(voices, "alice/../bob", None, [clip()])
    assert list(voices.speakers()) == []


def test_the_trail_says_that_it_was_the_command_line(parts: Components) -> None:
    voices = local(parts)
    enroll_or_make(voices, "alice", None, [clip(), clip(take=2)])
    answer = voices.verify("alice", clip(take=3), None)
    assert isinstance(parts.trail, FakeAuditTrail)
    assert [(entry.action, entry.by) for entry in parts.trail.entries] == [
        ("create_speaker", COMMAND),
        ("enroll", COMMAND),
        ("verify", COMMAND),
    ]
    assert parts.trail.entries[-1].request_id == answer["request_id"]


def test_what_is_no_service_of_vouch_is_an_error_of_the_service(client: DocumentedClient) -> None:
    vouch = Vouch(f"{BASE_URL}/elsewhere", key="", transport=InProcess(client))
    with pytest.raises(ServiceError):
        ServedVoices(vouch, "elsewhere").speaker("alice")
