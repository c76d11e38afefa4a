"""A stream over a real socket, with the shipped encoder and the clips of examples/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
import websockets.exceptions
from running import service
from websockets.sync.client import ClientConnection, connect

import signals

CLIPS = Path(__file__).resolve().parents[2] / "examples" / "clips"
PIECE_S = 0.25


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Of a service on which speaker-a is enrolled as alice."""
    with service({"VOUCH_DATA_DIR": str(tmp_path_factory.mktemp("stream"))}) as running:
        with httpx2.Client(base_url=f"http://127.0.0.1:{running.port}", timeout=60) as client:
            client.post("/v1/speakers", json={"speaker_id": "alice"}).raise_for_status()
            clips = [("audio", (CLIPS / f"speaker-a-{n}.ogg").read_bytes()) for n in (1, 2)]
            client.post("/v1/speakers/alice/enrollments", files=clips).raise_for_status()
        yield running.port


def connected(port: int) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{port}/v1/speakers/alice/verify/stream", proxy=None)


def final(stream: ClientConnection) -> dict[str, Any]:
    for message in stream:
        told = json.loads(message)
        if told["type"] != "running":
            return dict(told)
    raise AssertionError("the stream ended without an answer")


@pytest.mark.parametrize(("clip", "outcome"), [("speaker-a-3", "accept"), ("speaker-b-1", "reject")])
def test_samples_as_they_are_recorded(port: int, clip: str, outcome: str) -> None:
    samples, rate_hz = soundfile.read(CLIPS / f"{clip}.ogg", dtype="int16")
    with connected(port) as stream:
        stream.send(json.dumps({"format": "pcm_s16le", "sample_rate_hz": rate_hz}))
        for piece in np.array_split(samples, round(len(samples) / rate_hz / PIECE_S)):
            try:
                stream.send(piece.astype("<i2").tobytes())
            except websockets.exceptions.ConnectionClosed:
                break  # enough was said
        told = final(stream)
    assert told["type"] == "final", told
    assert told["verification"]["decision"] == outcome


@pytest.mark.parametrize(("clip", "outcome"), [("speaker-a-3", "accept"), ("speaker-b-1", "reject")])
def test_opus_packets_as_a_call_carries_them(port: int, clip: str, outcome: str) -> None:
    packets = signals.opus_packets((CLIPS / f"{clip}.ogg").read_bytes())
    with connected(port) as stream:
        stream.send(json.dumps({"format": "opus"}))
        for packet in packets:
            try:
                stream.send(packet)
            except websockets.exceptions.ConnectionClosed:
                break  # enough was said
        told = final(stream)
    assert told["type"] == "final", told
    assert told["verification"]["decision"] == outcome
    assert told["verification"]["audio"][0]["format"] == "ogg/opus"
    assert told["verification"]["audio"][0]["duration_s"] <= 0.02 * len(packets)


def test_packets_that_are_no_opus_are_told_at_once(port: int) -> None:
    with connected(port) as stream:
        stream.send(json.dumps({"format": "opus"}))
        for packet in signals.opus_packets((CLIPS / "speaker-a-3.ogg").read_bytes())[:5]:
            stream.send(packet)
        stream.send(b"\x80\x78" + bytes(10_000))  # an RTP packet, larger than a frame may be
        told = final(stream)
    assert (told["type"], told["problem"]["code"]) == ("problem", "audio_corrupt")
    assert told["problem"]["detail"].startswith("Packet 6: This is no Opus packet")


def test_a_file_in_pieces(port: int) -> None:
    data = (CLIPS / "speaker-a-3.ogg").read_bytes()
    with connected(port) as stream:
        stream.send(json.dumps({"format": "ogg"}))
        for start in range(0, len(data), 4096):
            try:
                stream.send(data[start : start + 4096])
            except websockets.exceptions.ConnectionClosed:
                break
        else:
            with suppress(websockets.exceptions.ConnectionClosed):
                stream.send(json.dumps({"end": True}))
        told = final(stream)
    assert told["verification"]["decision"] == "accept"
    assert told["verification"]["audio"][0]["format"] == "ogg/opus"


def test_a_message_is_bounded(port: int) -> None:
    with connected(port) as stream:
        stream.send(json.dumps({"format": "ogg"}))
        with suppress(websockets.exceptions.ConnectionClosed):
            stream.send(bytes(1024 * 1024 + 1))
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            stream.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_a_refusal_is_the_answer_to_the_handshake(port: int) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
        connect(
            f"ws://127.0.0.1:{port}/v1/speakers/alice/verify/stream", proxy=None, origin="https://evil.example"
        ).close()
    assert refused.value.response.status_code == 403
    assert json.loads(refused.value.response.body)["code"] == "forbidden"
