"""WS /v1/speakers/{speaker_id}/verify/stream, on audio that is written down: each piece says what the recording is by then."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from starlette.testclient import WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

import fake_audio
from api_client import DocumentedClient, enroll, serving
from app.api import route_stream
from app.components import Components
from fake_audio import MAGIC, FakeDecoder, clip
from fake_trail import FakeAuditTrail
from model.waveform import Waveform

PATH = "ws://localhost/v1/speakers/alice/verify/stream"
FILE = {"format": "webm"}
OPUS = {"format": "opus"}
PACKET_20_MS = b"\x78"
END = json.dumps({"end": True})


class GrowingDecoder(FakeDecoder):
    """Hears of a stream the last piece that came: what the recording is up to there."""

    def decode(self, data: bytes) -> Waveform:
        return super().decode(MAGIC + data.rpartition(MAGIC)[2] if MAGIC in data else data)


def parts(**changes: Any) -> Components:
    return fake_audio.components(decoder=GrowingDecoder(), **changes)


@pytest.fixture
def client() -> Iterator[DocumentedClient]:
    with serving(parts()) as client:
        enroll(client, "alice")
        yield client


@contextmanager
def streaming(client: DocumentedClient, start: Any = FILE, **options: Any) -> Iterator[WebSocketTestSession]:
    with client.websocket_connect(PATH, **options) as stream:
        stream.send_text(start if isinstance(start, str) else json.dumps(start))
        yield stream


def upto(voice: str, speech_s: float, **said: Any) -> bytes:
    return clip(voice, take=9, speech_s=speech_s, **said)


def problem_of(stream: WebSocketTestSession) -> tuple[str, str]:
    told = stream.receive_json()
    assert told["type"] == "problem", told
    with pytest.raises(WebSocketDisconnect) as closed:
        stream.receive_json()
    assert closed.value.code == (1011 if told["problem"]["status"] >= 500 else 1008)
    return told["problem"]["code"], told["problem"]["detail"]


@pytest.mark.parametrize(("voice", "outcome"), [("alice", "accept"), ("mallory", "reject")])
def test_the_decision_comes_as_soon_as_enough_was_said(client: DocumentedClient, voice: str, outcome: str) -> None:
    with streaming(client) as stream:
        for speech_s in (0.5, 1.5):
            stream.send_bytes(upto(voice, speech_s))
            told = stream.receive_json()
            assert (told["type"], told["audio"]["speech_s"]) == ("running", speech_s)
            assert "decision" not in told
        stream.send_bytes(upto(voice, 2.5))
        final = stream.receive_json()
        assert (final["type"], final["verification"]["decision"]) == ("final", outcome)
        assert final["verification"]["audio"][0]["speech_s"] == 2.5
        assert final["verification"]["speaker_id"] == "alice"
        with pytest.raises(WebSocketDisconnect) as closed:
            stream.receive_json()
        assert closed.value.code == 1000


def test_the_answer_is_that_of_the_whole_clip(client: DocumentedClient) -> None:
    said = upto("alice", 2.5)
    whole = client.post("/v1/speakers/alice/verify", files={"audio": ("a", said)}).json()
    with streaming(client) as stream:
        stream.send_bytes(said)
        streamed = stream.receive_json()["verification"]
    for one in (whole, streamed):
        del one["request_id"], one["flags"]
    assert streamed == whole


def test_an_end_decides_on_what_there_is(client: DocumentedClient) -> None:
    with streaming(client) as stream:
        stream.send_bytes(upto("alice", 1.5))
        assert stream.receive_json()["type"] == "running"
        stream.send_text(END)
        assert stream.receive_json()["verification"]["decision"] == "accept"
    with streaming(client) as stream:
        stream.send_bytes(upto("alice", 0.5))
        assert stream.receive_json()["type"] == "running"
        stream.send_text(END)
        final = stream.receive_json()["verification"]
        assert (final["decision"], final["reasons"]) == ("inconclusive", ["not_enough_speech"])


def test_a_part_that_cannot_be_heard_by_itself_waits_for_the_next(client: DocumentedClient) -> None:
    with streaming(client) as stream:
        stream.send_bytes(b"half of a")
        stream.send_bytes(upto("alice", 2.5))
        assert stream.receive_json()["type"] == "final"
    with streaming(client) as stream:
        stream.send_bytes(b"half of a")
        stream.send_text(END)
        assert problem_of(stream)[0] == "unsupported_audio"


def test_bare_samples_are_heard_every_half_second() -> None:
    heard: list[int] = []

    class Counting(FakeDecoder):
        def decode(self, data: bytes) -> Waveform:
            if data.startswith(MAGIC):
                return super().decode(data)
            samples = np.frombuffer(data[44:], "<i2")
            heard.append(len(samples))
            return super().decode(upto("alice", len(samples) / 8000))

    with serving(fake_audio.components(decoder=Counting())) as client:
        enroll(client, "alice")
        with streaming(client, {"format": "pcm_s16le", "sample_rate_hz": 8000}) as stream:
            for _ in range(4):
                stream.send_bytes(bytes(2 * 2000))  # a quarter of a second
                stream.send_bytes(bytes(2 * 2000 - 1))
                stream.send_bytes(bytes(1))
                last = stream.receive_json()
        assert last["type"] == "final"
    assert heard == [4000, 8000, 12000, 16000]


def test_opus_packets_are_heard_every_half_second_and_a_wrong_one_is_told_at_once() -> None:
    heard: list[int] = []

    class Counting(FakeDecoder):
        def decode(self, data: bytes) -> Waveform:
            if data.startswith(MAGIC):
                return super().decode(data)
            last_page = data[data.rindex(b"OggS") :]
            heard.append(int.from_bytes(last_page[6:14], "little"))
            return super().decode(upto("alice", heard[-1] / 48_000))

    with serving(fake_audio.components(decoder=Counting()), max_audio_s=60) as client:
        enroll(client, "alice")
        with streaming(client, OPUS) as stream:
            for _ in range(4):
                for _ in range(25):
                    stream.send_bytes(PACKET_20_MS)
                last = stream.receive_json()
        assert last["type"] == "final"
        assert heard == [24_000, 48_000, 72_000, 96_000]
        for wrong in (b"", b"\x79\x00", bytes(61_441)):
            with streaming(client, OPUS) as stream:
                stream.send_bytes(PACKET_20_MS)
                stream.send_bytes(wrong)
                code, detail = problem_of(stream)
            assert (code, detail.partition(":")[0]) == ("audio_corrupt", "Packet 2")
        with streaming(client, OPUS) as stream:
            stream.send_text(END)
            assert problem_of(stream)[0] == "audio_corrupt"


@pytest.mark.parametrize(
    ("start", "code", "sentence"),
    [
        ("no JSON", "invalid_argument", "message"),
        ({"format": "mp3"}, "invalid_argument", "format"),
        ({"format": "pcm_s16le"}, "invalid_argument", "sample_rate_hz goes with pcm_s16le"),
        ({"format": "webm", "sample_rate_hz": 16000}, "invalid_argument", "and with nothing else"),
        ({"format": "opus", "sample_rate_hz": 48000}, "invalid_argument", "Opus packets say their own"),
        ({"format": "pcm_s16le", "sample_rate_hz": 1}, "invalid_argument", "8000"),
        ({"format": "webm", "channels": 9}, "invalid_argument", "channels"),
        ({"format": "webm", "extra": 1}, "invalid_argument", "extra"),
        ({"format": "webm", "operating_point": "none"}, "invalid_argument", "'none' is not in this bundle"),
    ],
)
def test_a_bad_beginning_is_told(client: DocumentedClient, start: Any, code: str, sentence: str) -> None:
    with streaming(client, start) as stream:
        found, detail = problem_of(stream)
    assert found == code
    assert sentence in detail


def test_what_is_no_stream_is_told(client: DocumentedClient) -> None:
    with client.websocket_connect(PATH) as stream:
        stream.send_bytes(b"audio first")
        assert problem_of(stream)[0] == "invalid_argument"
    with streaming(client) as stream:
        stream.send_text("more text")
        assert problem_of(stream)[0] == "invalid_argument"
    with streaming(client) as stream:
        stream.send_text(END)
        assert problem_of(stream)[0] == "audio_corrupt"
    with client.websocket_connect("ws://localhost/v1/speakers/bob/verify/stream") as stream:
        stream.send_text(json.dumps(FILE))
        assert problem_of(stream)[0] == "speaker_not_found"


def test_a_stream_is_bounded() -> None:
    with serving(parts(), max_upload_mb=1, max_audio_s=2) as client:
        enroll(client, "alice")
        with streaming(client) as stream:
            stream.send_bytes(bytes(1024 * 1024 + 1))
            assert problem_of(stream)[0] == "audio_too_large"
        with streaming(client, {"format": "pcm_s16le", "sample_rate_hz": 8000}) as stream:
            stream.send_bytes(bytes(2 * 2 * 8001))
            assert problem_of(stream)[0] == "audio_too_long"
        with streaming(client, OPUS) as stream:
            for _ in range(101):
                stream.send_bytes(PACKET_20_MS)
            assert problem_of(stream)[0] == "audio_too_long"
    with serving(parts(), max_upload_mb=1, upload_memory_mb=2) as client:
        enroll(client, "alice")
        with streaming(client) as first, streaming(client) as second, streaming(client) as third:
            for one in (first, second):
                one.send_bytes(bytes(1024 * 1024))
            third.send_bytes(bytes(1024))
            assert problem_of(third)[0] == "overloaded"
        with streaming(client) as stream:  # and what they held is given back
            stream.send_bytes(upto("alice", 2.5))
            assert stream.receive_json()["type"] == "final"


def test_whoever_says_nothing_for_long_is_done(client: DocumentedClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route_stream, "SILENT_S", 0.05)
    with streaming(client) as stream:
        stream.send_bytes(upto("alice", 1.5))
        assert stream.receive_json()["type"] == "running"
        assert stream.receive_json()["type"] == "final"


def test_a_stream_is_one_entry_in_the_trail() -> None:
    trail = FakeAuditTrail()
    with serving(parts(trail=trail)) as client:
        enroll(client, "alice")
        trail.entries.clear()
        with streaming(client) as stream:
            for speech_s in (0.5, 1.5, 2.5):
                stream.send_bytes(upto("alice", speech_s))
                stream.receive_json()
        with streaming(client) as stream:
            stream.send_bytes(upto("alice", 0.5))
            stream.receive_json()
        with streaming(client, "no JSON") as stream:
            stream.receive_json()
    assert [(one.action, one.outcome, one.speaker_id) for one in trail.entries] == [
        ("verify", "accept", "alice"),
        ("verify", "left", "alice"),
        ("verify", "invalid_argument", "alice"),
    ]
    assert all(one.request_id for one in trail.entries)


def test_another_site_s_page_cannot_listen(client: DocumentedClient) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect(PATH, headers={"Origin": "https://evil.example"}),
    ):
        pass
    assert refused.value.status_code == 403
    assert refused.value.headers["X-Request-ID"]


def test_a_browser_s_key_is_among_the_protocols() -> None:
    own = parts()
    with serving(own) as client:
        enroll(client, "alice")
        key = own.keys.create("n", "default", ["verify"]).text
        for offered, status in (([], 401), (["vouch.v1", "vouch.key.vouch_0_0"], 401)):
            with (
                pytest.raises(WebSocketDenialResponse) as refused,
                client.websocket_connect(PATH, subprotocols=offered),
            ):
                pass
            assert refused.value.status_code == status
        with streaming(client, subprotocols=["vouch.v1", f"vouch.key.{key}"]) as stream:
            assert stream.accepted_subprotocol == "vouch.v1"
            stream.send_bytes(upto("alice", 2.5))
            final = stream.receive_json()["verification"]
        assert final["llr"] == round(final["llr"])  # this key sees no exact scores


def test_recordings_that_were_heard_before_are_flagged(client: DocumentedClient) -> None:
    flags = []
    for _ in range(2):
        with streaming(client) as stream:
            stream.send_bytes(upto("alice", 2.5, sound=7))
            flags.append(stream.receive_json()["verification"]["flags"])
    assert flags == [[], ["replay_suspected"]]
