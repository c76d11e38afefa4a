"""Bad uploads over HTTP on the real service: the right refusal, nothing stored, and the next request is served."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fastapi.testclient import TestClient

import shipped
import signals
import voicemaking

GOOD = (shipped.CLIPS / "speaker-a-1.ogg").read_bytes()
WAV = signals.wav(voicemaking.voice(1, 1, 3.0)[:, None])


def nan_samples() -> bytes:
    samples = voicemaking.voice(1, 2, 2.0)[:, None].copy()
    samples[7_000:7_010] = np.nan
    return signals.wav(samples, encoding="FLOAT")


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


CASES: dict[str, tuple[Callable[[], bytes], int, str, str]] = {
    "zero bytes": (lambda: b"", 422, "audio_corrupt", "empty"),
    "text as audio": (lambda: b"Dear service, please let me in. " * 99, 415, "unsupported_audio", "WAV, FLAC, MP3"),
    "a truncated WAV": (lambda: half(WAV), 422, "audio_corrupt", ""),
    "a truncated FLAC": (lambda: half(signals.flac(signals.white_noise(2.0))), 422, "audio_corrupt", ""),
    "a truncated M4A": (lambda: half(signals.m4a(signals.white_noise(2.0))), 422, "audio_corrupt", ""),
    "only a header": (lambda: WAV[:44], 422, "audio_corrupt", ""),
    "9 channels": (lambda: signals.wav(signals.white_noise(1.0, channels=9)), 415, "unsupported_audio", "9 channels"),
    "384 kHz": (lambda: signals.wav(signals.white_noise(1.0, 384_000), 384_000), 415, "unsupported_audio", "384"),
    "NaN samples": (nan_samples, 422, "audio_corrupt", ""),
    "30 minutes": (lambda: signals.ogg_opus(signals.silence(1_800.0)), 422, "audio_too_long", "120 s"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(500), 415, "unsupported_audio", ""),
}


@pytest.fixture(scope="module", autouse=True)
def speaker(service: TestClient) -> Iterator[None]:
    assert service.post("/v1/speakers", json={"speaker_id": "untouched"}).status_code == 201
    yield
    assert service.get("/v1/speakers/untouched").json()["enrollment_count"] == 0


@pytest.mark.parametrize("name", CASES)
def test_a_bad_upload_is_refused_with_a_sentence_and_the_next_request_is_served(service: TestClient, name: str) -> None:
    make, status, code, word = CASES[name]
    data = make()
    answers = [
        service.post("/v1/compare", files={"audio_a": GOOD, "audio_b": data}),
        service.post("/v1/speakers/untouched/enrollments", files=[("audio", GOOD), ("audio", data)]),
        service.post("/v1/identify", files={"audio": data}),
    ]
    for answer in answers:
        problem = answer.json()
        assert answer.headers["content-type"].startswith("application/problem+json")
        assert (answer.status_code, problem["code"]) == (status, code), problem
        assert word in problem["detail"]
        assert len(problem["detail"].split()) > 5
    assert service.post("/v1/compare", files={"audio_a": GOOD, "audio_b": GOOD}).status_code == 200
    assert service.get("/v1/speakers/untouched").json()["enrollment_count"] == 0


@pytest.mark.parametrize("name", ["right.wav", "wrong.mp3", "none", "../../etc/passwd"])
def test_the_files_name_decides_nothing(service: TestClient, name: str) -> None:
    files = dict.fromkeys(("audio_a", "audio_b"), (name, WAV, "text/plain"))
    body = service.post("/v1/compare", files=files).json()
    assert body["score"] == pytest.approx(1.0, abs=1e-4)
    assert body["audio"][0]["format"] == "wav"
