"""Recordings that are sent again, over HTTP: flagged, refused, or left alone."""

from __future__ import annotations

from typing import Any

import pytest

import fake_audio
from api_client import DocumentedClient, audio, enroll, pair, problem, serving
from app.records import Enrolled, Idempotency
from fake_audio import clip
from fake_store import FakeSpeakerStore

SUSPECTED = ["replay_suspected"]
FIRST, SECOND = clip("alice", 1, sound=1), clip("alice", 2, sound=2)
"""What `alice` is enrolled with."""


def probe(sound: int, voice: str = "alice", **written: Any) -> bytes:
    return clip(voice, 9, sound=sound, **written)


def verify(client: DocumentedClient, sent: bytes, speaker_id: str = "alice") -> Any:
    answer = client.post(f"/v1/speakers/{speaker_id}/verify", files=audio(sent))
    assert answer.status_code == 200, answer.text
    return answer.json()


def identify(client: DocumentedClient, sent: bytes) -> Any:
    answer = client.post("/v1/identify", files=audio(sent))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_clip_that_was_verified_before_is_flagged_and_decided_as_ever(client: DocumentedClient) -> None:
    enroll(client, "alice", FIRST, SECOND)
    first, again = (verify(client, probe(3)) for _ in range(2))
    assert (first["decision"], first["flags"]) == ("accept", [])
    assert (again["decision"], again["reasons"], again["flags"]) == ("accept", [], SUSPECTED)
    assert again["llr"] == first["llr"]
    assert verify(client, probe(4))["flags"] == [], "another take"


def test_so_is_a_part_of_it_and_one_that_was_enrolled(client: DocumentedClient) -> None:
    enroll(client, "alice", FIRST, SECOND)
    verify(client, probe(3, speech_s=6.0))
    assert verify(client, probe(3, speech_s=2.5))["flags"] == SUSPECTED
    assert verify(client, SECOND)["flags"] == SUSPECTED


@pytest.mark.parametrize("first", [probe(3, speech_s=0.5), probe(3, voice="bob")], ids=["inconclusive", "rejected"])
def test_whatever_was_decided_the_clip_is_remembered(client: DocumentedClient, first: bytes) -> None:
    enroll(client, "alice", FIRST, SECOND)
    assert verify(client, first)["decision"] != "accept"
    assert verify(client, probe(3))["flags"] == SUSPECTED


def test_it_is_remembered_of_its_speaker_alone_and_gone_with_the_speaker(client: DocumentedClient) -> None:
    enroll(client, "alice", FIRST, SECOND)
    enroll(client, "bob")
    verify(client, probe(3))
    assert verify(client, probe(3), "bob")["flags"] == []
    client.delete("/v1/speakers/alice")
    enroll(client, "alice")
    assert verify(client, probe(3))["flags"] == []
    assert verify(client, FIRST)["flags"] == []


def test_comparing_a_recording_with_itself_is_flagged_and_nothing_is_remembered(client: DocumentedClient) -> None:
    enroll(client, "alice", FIRST, SECOND)
    one, other = probe(3), probe(4)
    same = client.post("/v1/compare", files=pair(one, probe(3, speech_s=2.5))).json()
    assert (same["decision"], same["flags"]) == ("accept", SUSPECTED)
    assert client.post("/v1/compare", files=pair(one, other)).json()["flags"] == []
    assert verify(client, one)["flags"] == []


def test_identifying_remembers_whom_it_found(client: DocumentedClient) -> None:
    enroll(client, "alice", FIRST, SECOND)
    enroll(client, "bob")
    first, again = (identify(client, probe(3)) for _ in range(2))
    assert (first["decision"], first["flags"]) == ("accept", [])
    assert (again["decision"], again["flags"]) == ("accept", SUSPECTED)
    assert verify(client, probe(3))["flags"] == SUSPECTED
    assert identify(client, FIRST)["flags"] == SUSPECTED
    stranger = probe(5, voice="stranger")
    assert [identify(client, stranger)["flags"] for _ in range(2)] == [[], []], "it is nobody's"


def test_enrolling_a_recording_twice_is_flagged(client: DocumentedClient) -> None:
    enroll(client, "alice", FIRST, SECOND)
    path = "/v1/speakers/alice/enrollments"
    assert client.post(path, files=audio(probe(3))).json()["flags"] == []
    for sent in ([probe(3)], [probe(4), SECOND], [probe(6), probe(6)]):
        answer = client.post(path, files=audio(*sent))
        assert (answer.status_code, answer.json()["flags"]) == (201, SUSPECTED)
    verify(client, probe(7))
    assert client.post(path, files=audio(probe(7))).json()["flags"] == SUSPECTED


def test_an_enrollment_that_was_taken_back_may_be_given_again(client: DocumentedClient) -> None:
    enrolled = enroll(client, "alice", FIRST, SECOND)["enrollments"]
    client.delete(f"/v1/speakers/alice/enrollments/{enrolled[0]['enrollment_id']}")
    assert client.post("/v1/speakers/alice/enrollments", files=audio(FIRST)).json()["flags"] == []


# Refused


def test_with_refuse_a_recording_opens_nothing_twice() -> None:
    with serving(replay_policy="refuse") as client:
        enroll(client, "alice", FIRST, SECOND)
        assert verify(client, probe(3))["decision"] == "accept"
        for answer in (verify(client, probe(3)), identify(client, probe(3)), verify(client, probe(3, speech_s=0.5))):
            assert (answer["decision"], answer["reasons"], answer["flags"]) == ("reject", SUSPECTED, SUSPECTED)
        assert identify(client, probe(3))["candidates"][0]["decision"] == "reject"
        same = client.post("/v1/compare", files=pair(probe(4), probe(4))).json()
        assert (same["decision"], same["reasons"]) == ("reject", SUSPECTED)
        assert same["llr"] > same["threshold"]["llr"], "what was measured is told all the same"
        assert verify(client, probe(4))["decision"] == "accept"


def test_with_refuse_no_recording_is_enrolled_twice() -> None:
    with serving(replay_policy="refuse") as client:
        enroll(client, "alice", FIRST, SECOND)
        path = "/v1/speakers/alice/enrollments"
        detail = problem(client.post(path, files=audio(probe(3), FIRST)), 422, "replay_suspected")
        assert detail.startswith("clip 2 of 2 is a recording that was enrolled or verified for this speaker before")
        assert client.get("/v1/speakers/alice").json()["enrollment_count"] == 2
        assert client.post(path, files=audio(probe(3))).status_code == 201


# A caller who sends the same request again


@pytest.mark.parametrize("policy", ["flag", "refuse"])
def test_a_repeated_request_is_no_replay(policy: str) -> None:
    with serving(replay_policy=policy) as client:
        client.post("/v1/speakers", json={"speaker_id": "alice"})
        for _ in range(2):
            answer = client.post(
                "/v1/speakers/alice/enrollments", files=audio(FIRST, SECOND), headers={"Idempotency-Key": "key"}
            )
            assert (answer.status_code, answer.json()["flags"]) == (201, [])
        assert client.get("/v1/speakers/alice").json()["enrollment_count"] == 2


class Racing(FakeSpeakerStore):
    """Right after `n_looks` was set to 0 the other one of two equal requests has not come to its end yet."""

    n_looks = 1

    def replayed_enrollments(self, tenant: str, speaker_id: str, idempotency: Idempotency) -> Enrolled | None:
        self.n_looks += 1
        return None if self.n_looks == 1 else super().replayed_enrollments(tenant, speaker_id, idempotency)


def test_nor_is_one_that_is_sent_twice_at_once() -> None:
    store = Racing()
    with serving(fake_audio.components(store=store), replay_policy="refuse") as client:
        client.post("/v1/speakers", json={"speaker_id": "alice"})
        send: dict[str, Any] = {"files": audio(FIRST), "headers": {"Idempotency-Key": "key"}}
        first = client.post("/v1/speakers/alice/enrollments", **send).json()
        store.n_looks = 0
        again = client.post("/v1/speakers/alice/enrollments", **send).json()
        assert (again["flags"], again["enrollments"]) == ([], first["enrollments"])


# Switched off


def test_with_no_clips_to_keep_nothing_is_flagged() -> None:
    with serving(replay_kept_clips=0, replay_policy="refuse") as client:
        enroll(client, "alice", FIRST, SECOND)
        for sent in (probe(3), probe(3), FIRST):
            answer = verify(client, sent)
            assert (answer["decision"], answer["flags"]) == ("accept", [])
        assert client.post("/v1/compare", files=pair(FIRST, FIRST)).json()["flags"] == []
        assert client.post("/v1/speakers/alice/enrollments", files=audio(FIRST)).status_code == 201
