"""What a request leaves in the log: its id on every line, its key's public id, and nothing of a voice or a key."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import fake_audio
from api_client import DocumentedClient, audio, enroll, pair, problem, serving
from app.adapters.work_queue import ThreadWorkQueue
from app.errors import StoreError
from app.logs import TextFormatter
from app.records import Speaker
from fake_audio import FakeDecoder, clip
from fake_store import FakeSpeakerStore
from logged import logged, written
from model.waveform import Waveform

log = logging.getLogger("vouch.tests")


class TalkingDecoder(FakeDecoder):
    """Logs a line for each clip, on whichever thread decodes it; clips of one request wait for each other."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()
        self._together = threading.Barrier(2)

    def decode(self, data: bytes) -> Waveform:
        self._together.wait(timeout=20)
        self.threads.add(threading.get_ident())
        log.info("decoding")
        return super().decode(data)


def access(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["logger"] == "vouch.access"]


def test_every_line_of_a_request_carries_its_id_on_other_threads_too() -> None:
    decoder = TalkingDecoder()
    work = ThreadWorkQueue(2, 8)
    with serving(fake_audio.components(decoder=decoder, work=work)) as client, logged() as lines:
        for name in ("first", "second"):
            client.post("/v1/compare", files=pair(clip(), clip(take=2)), headers={"X-Request-ID": name})
    talked = [line["request_id"] for line in lines if line["message"] == "decoding"]
    assert talked == ["first", "first", "second", "second"]
    assert len(decoder.threads) == 2, "the two clips of a call were heard side by side"
    assert [line["request_id"] for line in access(lines)] == ["first", "second"]


def test_a_failure_is_found_by_the_id_that_its_caller_was_told() -> None:
    class Broken(FakeSpeakerStore):
        def get_speaker(self, tenant: str, speaker_id: str) -> Speaker:
            if speaker_id == "mallory":
                raise RuntimeError("a mistake of ours")
            raise StoreError("the disk is gone")

    with serving(fake_audio.components(store=Broken())) as client, logged() as lines:
        mistake, broken = client.get("/v1/speakers/mallory"), client.get("/v1/speakers/alice")
    problem(mistake, 500, "internal_error")
    problem(broken, 503, "store_error")
    failures = [line for line in lines if line["level"] == "error"]
    assert [line["request_id"] for line in failures] == [answer.json()["request_id"] for answer in (mistake, broken)]
    assert [line["exception"].splitlines()[-1] for line in failures] == [
        "RuntimeError: a mistake of ours",
        "app.errors.StoreError: the disk is gone",
    ]


def test_the_access_line_names_the_route_the_outcome_and_the_keys_public_id() -> None:
    keys = fake_audio.api_keys()
    made = keys.create("a client", "acme", ["enroll"])
    sent = {"X-API-Key": made.text}
    with serving(fake_audio.components(keys=keys)) as client, logged() as lines:
        client.get("/v1/speakers/alice", headers=sent)
        client.post("/v1/compare", files=pair(clip(), clip()), headers=sent)
        client.get("/v1/speakers/alice", headers={"X-API-Key": made.text[:-1]})
        client.get("/livez")
    found = [(line["method"], line["route"], line["status"], line["code"], line["key_id"]) for line in access(lines)]
    assert found == [
        ("GET", "/v1/speakers/{speaker_id}", 404, "speaker_not_found", made.key.key_id),
        ("POST", "/v1/compare", 403, "forbidden", made.key.key_id),
        ("GET", "/v1/speakers/{speaker_id}", 401, "unauthenticated", None),
        ("GET", "/livez", 200, None, None),
    ]
    assert all(line["took_ms"] > 0 for line in access(lines))
    assert access(lines)[0]["message"].endswith(f" ms key_id={made.key.key_id} code=speaker_not_found")
    assert access(lines)[3]["message"].endswith(" ms key_id=- code=-")


def test_nothing_biometric_no_key_and_no_speaker_is_in_any_line() -> None:
    keys = fake_audio.api_keys()
    made = keys.create("a client", "acme", ["compare", "enroll", "verify", "identify", "erase", "embeddings", "scores"])
    secret = made.text.rpartition("_")[2]
    answers = []
    with serving(fake_audio.components(keys=keys), embeddings_enabled=True) as client, logged() as lines:
        client.headers["Authorization"] = f"Bearer {made.text}"
        enroll(client, "alice", display_name="Alice Example", metadata={"phone": "555-0123"})
        answers.append(client.post("/v1/speakers/alice/verify", files=audio(clip("alice", 9))).json())
        answers.append(client.post("/v1/compare", files=pair(clip("alice"), clip("alice", 9))).json())
        answers.append(client.post("/v1/identify", files=audio(clip("alice", 9))).json()["candidates"][0])
        embedding = client.post("/v1/embeddings", files=audio(clip("alice"))).json()["embedding"]
        client.get("/v1/speakers/alice", headers={"Authorization": f"Bearer {made.text[:-1]}x"})
        client.delete("/v1/speakers/alice")
    text = str(lines)
    assert len(access(lines)) == 8
    assert secret[:16] not in text
    for told in ("alice", "Alice", "555-0123", "acme"):
        assert told not in text
    for value in (*embedding, *(answer[name] for answer in answers for name in ("score", "llr", "probability"))):
        assert str(value) not in text


@pytest.mark.parametrize("name", ["X-Request-ID", "X-API-Key", "Idempotency-Key", "User-Agent", "Origin"])
def test_no_header_forges_a_line(client: DocumentedClient, name: str) -> None:
    forged = "a\n2026-01-01T00:00:00.000Z INFO vouch: forged"
    with written(TextFormatter()) as text:
        client.post("/v1/speakers", json={}, headers=[(name.encode(), forged.encode())])
        client.get("/v1/speakers/a%0Aforged", headers=[(name.encode(), b"a")])
    assert len(text.getvalue().splitlines()) == 2, "one for each call"
    assert "forged" not in text.getvalue()


def test_a_method_forges_no_line(client: DocumentedClient) -> None:
    with written(TextFormatter()) as text:
        client.request("GET\nforged", "/livez")
    (line,) = text.getvalue().splitlines()
    assert r" GET\nFORGED /livez 405 " in line


def test_requests_side_by_side_keep_their_ids_apart() -> None:
    with (
        serving(fake_audio.components(work=ThreadWorkQueue(4, 100))) as client,
        logged() as lines,
        ThreadPoolExecutor(8) as callers,
    ):
        sent = [f"caller-{n}" for n in range(24)]
        calls = [
            callers.submit(client.post, "/v1/compare", files=pair(clip(), b"no audio"), headers={"X-Request-ID": name})
            for name in sent
        ]
        assert {call.result().json()["request_id"] for call in calls} == set(sent)
    assert sorted(line["request_id"] for line in access(lines)) == sorted(sent)
