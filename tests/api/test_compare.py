"""POST /v1/compare."""

from __future__ import annotations

import math

import pytest

from api_client import DocumentedClient, pair, problem, serving
from fake_audio import LIKELIHOOD, MAGIC, N_MIN_SAMPLES, UNREACHABLE, clip
from model.calibration import SideInformation
from model.likelihood import Side
from model.waveform import SAMPLE_RATE_HZ

SIDE = Side(SideInformation(speech_s=3.0, n_clips=1, snr_db=25.0), None, None)
"""Of a clip as `clip` makes it."""


def compare(client: DocumentedClient, a: bytes, b: bytes, **fields: str):
    answer = client.post("/v1/compare", files=pair(a, b), data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_one_voice_is_accepted(client: DocumentedClient) -> None:
    body = compare(client, clip("alice", 1), clip("alice", 2))
    assert body["decision"] == "accept"
    assert body["reasons"] == []
    assert body["flags"] == []
    assert body["score_scale"] == "cosine"
    assert 0.9 < body["score"] <= 1
    assert body["llr"] == pytest.approx(LIKELIHOOD.llr(body["score"], SIDE, SIDE), abs=2e-5)
    assert body["probability"] == pytest.approx(1 / (1 + math.exp(-body["llr"])), abs=1e-5)
    assert body["prior"] == 0.5
    assert body["speaker_id"] is None
    assert body["model"] == {"id": "written-bundle", "sha256": "ab" * 32}


def test_two_voices_are_rejected(client: DocumentedClient) -> None:
    body = compare(client, clip("alice"), clip("bob"))
    assert body["decision"] == "reject"
    assert body["reasons"] == []
    assert body["llr"] < 0


def test_answer_has_the_contract_s_fields_and_no_others(client: DocumentedClient) -> None:
    body = compare(client, clip("alice"), clip("bob"))
    assert set(body) == {
        *("decision", "reasons", "flags", "score", "score_scale", "llr", "probability", "prior", "threshold"),
        *("speaker_id", "audio", "model", "request_id"),
    }
    assert set(body["threshold"]) == {"operating_point", "llr", "score", "fmr", "fnmr", "calibration_id"}
    assert body["audio"][0] == {
        "duration_s": 3.5,
        "speech_s": 3.0,
        "snr_db": 25.0,
        "clipped_fraction": 0.0,
        "sample_rate_hz": 48000,
        "channels": 2,
        "format": "written",
    }
    assert len(body["audio"]) == 2


def test_threshold_score_is_where_this_trial_would_meet_the_threshold(client: DocumentedClient) -> None:
    threshold = compare(client, clip("alice"), clip("bob"), operating_point="fmr_1e-2")["threshold"]
    assert threshold["operating_point"] == "fmr_1e-2"
    assert LIKELIHOOD.llr(threshold["score"], SIDE, SIDE) == pytest.approx(threshold["llr"], abs=2e-5)


def test_threshold_score_is_null_where_no_cosine_meets_it(client: DocumentedClient) -> None:
    body = compare(client, clip("alice", 1), clip("alice", 2), operating_point=UNREACHABLE.name)
    assert body["decision"] == "reject"
    assert body["threshold"]["score"] is None


def test_default_operating_point_is_a_setting() -> None:
    with serving(operating_point="fmr_1e-2") as client:
        assert compare(client, clip("alice"), clip("bob"))["threshold"]["operating_point"] == "fmr_1e-2"


def test_prior_moves_the_probability_and_nothing_else() -> None:
    with serving(prior=0.5) as client:
        even = compare(client, clip("alice", 1), clip("alice", 2))
    with serving(prior=0.01) as client:
        rare = compare(client, clip("alice", 1), clip("alice", 2))
    assert rare["probability"] < even["probability"]
    assert (rare["llr"], rare["decision"], rare["prior"]) == (even["llr"], even["decision"], 0.01)


def test_unknown_operating_point_lists_those_there_are(client: DocumentedClient) -> None:
    answer = client.post("/v1/compare", files=pair(clip(), clip()), data={"operating_point": "fmr_1e-9"})
    detail = problem(answer, 422, "invalid_argument")
    assert "fmr_1e-9" in detail
    assert "eer, fmr_1e-2" in detail


def test_too_little_speech_is_inconclusive_but_still_measured(client: DocumentedClient) -> None:
    body = compare(client, clip("alice", 1, speech_s=0.4), clip("alice", 2))
    assert (body["decision"], body["reasons"]) == ("inconclusive", ["not_enough_speech"])
    assert body["score"] > 0.9
    assert body["llr"] is not None


def test_noise_is_inconclusive(client: DocumentedClient) -> None:
    body = compare(client, clip("alice", 1, snr_db=-4.0), clip("alice", 2))
    assert (body["decision"], body["reasons"]) == ("inconclusive", ["too_noisy"])


@pytest.mark.parametrize(
    "without_embedding",
    [
        clip("alice", speech_s=0.0, duration_s=(N_MIN_SAMPLES - 1) / SAMPLE_RATE_HZ),
        clip("alice", speech_s=0.0, duration_s=3.0, is_constant=True, snr_db=None),
        clip("alice", speech_s=2.0, duration_s=3.0, is_constant=True),
    ],
    ids=["shorter-than-a-frame", "constant", "constant-although-the-detector-heard-speech"],
)
def test_without_an_embedding_there_is_no_score(client: DocumentedClient, without_embedding: bytes) -> None:
    body = compare(client, without_embedding, clip("alice"))
    assert (body["decision"], body["reasons"]) == ("inconclusive", ["not_enough_speech"])
    assert (body["score"], body["llr"], body["probability"]) == (None, None, None)
    assert body["threshold"]["llr"] == 0.0


def test_one_frame_is_enough_for_a_score(client: DocumentedClient) -> None:
    body = compare(client, clip("alice", speech_s=0.0, duration_s=N_MIN_SAMPLES / SAMPLE_RATE_HZ), clip("alice"))
    assert body["decision"] == "inconclusive"
    assert body["score"] == 1.0


@pytest.mark.parametrize(
    ("broken", "status", "code"),
    [
        (b"plain text, not audio", 415, "unsupported_audio"),
        (MAGIC + b'{"voice', 422, "audio_corrupt"),
        (b"", 422, "audio_corrupt"),
        (clip("alice", duration_s=1800.0), 422, "audio_too_long"),
    ],
)
def test_bad_audio_is_refused_by_name_and_the_next_call_served(
    client: DocumentedClient, broken: bytes, status: int, code: str
) -> None:
    detail = problem(client.post("/v1/compare", files=pair(clip(), broken)), status, code)
    assert detail.startswith("audio_b: ")
    assert compare(client, clip(), clip())["decision"] == "accept"
