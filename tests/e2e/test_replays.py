"""Re-submitted audio by the service that ships: real voices, real decoders, HTTP."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

import shipped
import signals
from model.decoding import DecodingLimits, decode

LIMITS = DecodingLimits(max_duration_s=60.0)
SUSPECTED = ["replay_suspected"]
N_VOICES = 12


def clip(name: str) -> bytes:
    return (shipped.CLIPS / f"{name}.ogg").read_bytes()


def as_mp3(data: bytes) -> bytes:
    samples = decode(data, LIMITS).samples
    return signals.mp3(np.clip(samples, -1.0, 1.0)[4_000:, None], 16_000)


def flags(service: TestClient, path: str, *files: tuple[str, bytes]) -> Any:
    answer = service.post(path, files=list(files))
    assert answer.status_code < 300, answer.text
    return answer.json()["flags"]


def test_a_clip_that_comes_again_in_another_format_is_flagged_by_every_call(service: TestClient) -> None:
    service.post("/v1/speakers", json={"speaker_id": "replayed"})
    enrollments, verify = "/v1/speakers/replayed/enrollments", "/v1/speakers/replayed/verify"
    first, second, probe = (clip(f"speaker-a-{number}") for number in (1, 2, 3))
    try:
        assert flags(service, enrollments, ("audio", first), ("audio", second)) == []
        assert flags(service, verify, ("audio", probe)) == []
        assert flags(service, verify, ("audio", as_mp3(probe))) == SUSPECTED
        assert flags(service, verify, ("audio", as_mp3(first))) == SUSPECTED
        assert flags(service, "/v1/identify", ("audio", as_mp3(second))) == SUSPECTED
        assert flags(service, enrollments, ("audio", as_mp3(probe))) == SUSPECTED
    finally:
        service.delete("/v1/speakers/replayed")


@pytest.mark.parametrize("corpus", ["librispeech-test-other", "speechocean762"])
def test_a_recording_is_itself_and_no_other(service: TestClient, corpus: str) -> None:
    voices = signals.voices(corpus, N_VOICES)
    for one in voices:
        assert flags(service, "/v1/compare", ("audio_a", one), ("audio_b", as_mp3(one))) == SUSPECTED
    for one, other in pairwise(voices):
        assert flags(service, "/v1/compare", ("audio_a", one), ("audio_b", other)) == []
