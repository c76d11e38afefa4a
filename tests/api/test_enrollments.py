"""/v1/speakers/{speaker_id}/enrollments."""

from __future__ import annotations

import pytest

import fake_audio
from api_client import DocumentedClient, audio, enroll, problem, serving
from app.records import DEFAULT_TENANT
from fake_audio import MAGIC, FakeDecoder, FakeEmbedder, clip
from fake_gallery import FakeGallery
from fake_store import FakeSpeakerStore

ENROLLMENTS = "/v1/speakers/alice/enrollments"


def test_clips_add_up_to_an_enrolled_speaker(client: DocumentedClient) -> None:
    client.post("/v1/speakers", json={"speaker_id": "alice"})
    first = client.post(ENROLLMENTS, files=audio(clip(take=1)))
    assert first.status_code == 201
    speaker = first.json()["speaker"]
    assert (speaker["status"], speaker["speech_s"], speaker["remaining_speech_s"]) == ("enrolling", 3.0, 2.0)
    assert speaker["encoder_id"] == "encoder-a"
    second = client.post(ENROLLMENTS, files=audio(clip(take=2, speech_s=1.0), clip(take=3, speech_s=1.5))).json()
    assert [enrollment["speech_s"] for enrollment in second["enrollments"]] == [1.0, 1.5]
    speaker = second["speaker"]
    assert (speaker["status"], speaker["speech_s"], speaker["remaining_speech_s"]) == ("enrolled", 5.5, 0.0)
    assert speaker["enrollment_count"] == 3
    listed = client.get(ENROLLMENTS).json()["enrollments"]
    assert listed == first.json()["enrollments"] + second["enrollments"]
    assert set(listed[0]) == {"enrollment_id", "speech_s", "audio", "created_at"}
    assert listed[0]["audio"]["format"] == "written"


def test_enrolling_needs_a_speaker(client: DocumentedClient) -> None:
    problem(client.post(ENROLLMENTS, files=audio(clip())), 404, "speaker_not_found")
    problem(client.get(ENROLLMENTS), 404, "speaker_not_found")
    problem(client.delete(f"{ENROLLMENTS}/x"), 404, "speaker_not_found")


@pytest.mark.parametrize(
    ("bad", "status", "code", "sentence"),
    [
        (clip(speech_s=0.309), 422, "not_enough_speech", "clip 2 of 3 has 0.30 s of speech"),
        (clip(speech_s=0.999), 422, "not_enough_speech", "clip 2 of 3 has 0.99 s of speech"),
        (clip(snr_db=-3.25), 422, "too_noisy", "clip 2 of 3 has a signal-to-noise ratio of -3.2 dB; at least 3 dB"),
        (clip(is_constant=True), 422, "not_enough_speech", "clip 2 of 3"),
        (clip(duration_s=1800), 422, "audio_too_long", "clip 2 of 3: "),
        (MAGIC, 422, "audio_corrupt", "clip 2 of 3: "),
        (b"text", 415, "unsupported_audio", "clip 2 of 3: "),
    ],
)
def test_one_bad_clip_and_nothing_is_stored(
    client: DocumentedClient, bad: bytes, status: int, code: str, sentence: str
) -> None:
    client.post("/v1/speakers", json={"speaker_id": "alice"})
    answer = client.post(ENROLLMENTS, files=audio(clip(take=1), bad, clip(take=2)))
    assert problem(answer, status, code).startswith(sentence)
    assert client.get(ENROLLMENTS).json()["enrollments"] == []
    assert client.get("/v1/speakers/alice").json()["status"] == "empty"
    assert client.post(ENROLLMENTS, files=audio(clip())).status_code == 201


def test_how_much_speech_is_needed_is_a_setting() -> None:
    with serving(min_speech_s=2.0, enroll_min_speech_s=3.0) as client:
        client.post("/v1/speakers", json={"speaker_id": "alice"})
        detail = problem(client.post(ENROLLMENTS, files=audio(clip(speech_s=1.5))), 422, "not_enough_speech")
        assert "at least 2 s is needed" in detail
        assert client.post(ENROLLMENTS, files=audio(clip())).json()["speaker"]["status"] == "enrolled"


def test_a_stranger_among_the_clips_is_named_and_nothing_is_stored(client: DocumentedClient) -> None:
    client.post("/v1/speakers", json={"speaker_id": "alice"})
    answer = client.post(ENROLLMENTS, files=audio(clip(take=1), clip("mallory"), clip(take=2)))
    detail = problem(answer, 422, "inconsistent_voice")
    assert detail.startswith(
        "clip 2 of 3 does not sound like the speaker's other clips: its log-likelihood ratio is under -"
    )
    assert "at least -2 is needed (VOUCH_ENROLL_MIN_LLR)" in detail
    assert client.get("/v1/speakers/alice").json()["status"] == "empty"
    assert client.post(ENROLLMENTS, files=audio(clip(take=1), clip(take=2))).status_code == 201
    answer = client.post(ENROLLMENTS, files=audio(clip("mallory")))
    assert problem(answer, 422, "inconsistent_voice").startswith("clip 1 of 1 does not")
    answer = client.post(ENROLLMENTS, files=audio(clip("mallory", 1), clip(take=3)))
    assert problem(answer, 422, "inconsistent_voice").startswith("clip 1 of 2 does not")
    assert len(client.get(ENROLLMENTS).json()["enrollments"]) == 2
    assert client.post(ENROLLMENTS, files=audio(clip(take=3))).status_code == 201


def test_how_alike_the_clips_must_be_is_a_setting() -> None:
    with serving(enroll_min_llr=-1e9) as client:
        enroll(client, "alice", clip("alice"), clip("mallory"))
    with serving(enroll_min_llr=1e9) as client:
        client.post("/v1/speakers", json={"speaker_id": "alice"})
        problem(client.post(ENROLLMENTS, files=audio(clip(take=1), clip(take=2))), 422, "inconsistent_voice")
        assert client.post(ENROLLMENTS, files=audio(clip())).status_code == 201, "the first alone, whatever the limit"
        problem(client.post(ENROLLMENTS, files=audio(clip())), 422, "inconsistent_voice")


def test_more_clips_than_a_call_may_have(client: DocumentedClient) -> None:
    client.post("/v1/speakers", json={"speaker_id": "alice"})
    assert "at most 10" in problem(client.post(ENROLLMENTS, files=audio(*[clip()] * 11)), 422, "invalid_argument")
    assert client.post(ENROLLMENTS, files=audio(*[clip()] * 10)).status_code == 201


def test_taking_enrollments_back_takes_the_voice_back() -> None:
    gallery = FakeGallery(n_embedding=fake_audio.N_EMBEDDING)
    with serving(fake_audio.components(gallery=gallery)) as client:
        enrollments = enroll(client, "alice")["enrollments"]
        assert gallery.size(DEFAULT_TENANT) == 1
        assert client.delete(f"{ENROLLMENTS}/{enrollments[0]['enrollment_id']}").status_code == 204
        speaker = client.get("/v1/speakers/alice").json()
        assert (speaker["status"], speaker["enrollment_count"], speaker["speech_s"]) == ("enrolling", 1, 3.0)
        assert gallery.size(DEFAULT_TENANT) == 0
        assert client.delete(f"{ENROLLMENTS}/{enrollments[1]['enrollment_id']}").status_code == 204
        speaker = client.get("/v1/speakers/alice").json()
        assert (speaker["status"], speaker["encoder_id"]) == ("empty", None)
        gone = client.delete(f"{ENROLLMENTS}/{enrollments[0]['enrollment_id']}")
        problem(gone, 404, "enrollment_not_found")


def test_a_repeated_enroll_with_one_key_enrols_once_and_hears_nothing() -> None:
    decoder = FakeDecoder()
    with serving(fake_audio.components(decoder=decoder)) as client:
        client.post("/v1/speakers", json={"speaker_id": "alice"})
        key = {"Idempotency-Key": "k-1"}
        first = client.post(ENROLLMENTS, files=audio(clip()), headers=key)
        n_decoded = decoder.n_decoded
        again = client.post(ENROLLMENTS, files=audio(clip()), headers=key)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.request.headers["content-type"] != first.request.headers["content-type"], "another boundary"
        assert again.json() == first.json()
        assert decoder.n_decoded == n_decoded
        assert len(client.get(ENROLLMENTS).json()["enrollments"]) == 1
        for other in (audio(clip(take=2)), audio(clip(), clip())):
            problem(client.post(ENROLLMENTS, files=other, headers=key), 409, "idempotency_conflict")
        client.post("/v1/speakers", json={"speaker_id": "bob"})
        elsewhere = client.post("/v1/speakers/bob/enrollments", files=audio(clip()), headers=key)
        problem(elsewhere, 409, "idempotency_conflict")
        assert decoder.n_decoded == n_decoded


def test_a_speaker_of_another_encoder_is_stale() -> None:
    store = FakeSpeakerStore()
    with serving(fake_audio.components(store=store)) as client:
        enroll(client, "alice")
    with serving(fake_audio.components(store=store, embedder=FakeEmbedder("encoder-b"))) as client:
        speaker = client.get("/v1/speakers/alice").json()
        assert (speaker["status"], speaker["encoder_id"], speaker["remaining_speech_s"]) == ("stale", "encoder-a", 5.0)
        for answer in (
            client.post(ENROLLMENTS, files=audio(clip())),
            client.post("/v1/speakers/alice/verify", files=audio(clip())),
        ):
            detail = problem(answer, 409, "model_mismatch")
            assert "encoder-a" in detail
            assert "encoder-b" in detail
        assert client.post("/v1/identify", files=audio(clip())).json()["reasons"] == ["empty_gallery"]
        for enrollment in client.get(ENROLLMENTS).json()["enrollments"]:
            client.delete(f"{ENROLLMENTS}/{enrollment['enrollment_id']}")
        again = client.post(ENROLLMENTS, files=audio(clip(speech_s=6.0)))
        assert again.json()["speaker"]["status"] == "enrolled"
        assert again.json()["speaker"]["encoder_id"] == "encoder-b"


def test_a_voice_that_does_not_cohere_is_enrolled_by_force_and_the_scope_for_it() -> None:
    parts = fake_audio.components()
    with serving(parts) as client:
        enroll(client, "alice")
        stranger = {"files": audio(clip("mallory"))}
        assert "force" in problem(client.post(ENROLLMENTS, data={"force": "yes"}, **stranger), 422, "invalid_argument")
        problem(client.post(ENROLLMENTS, data={"force": "false"}, **stranger), 422, "inconsistent_voice")
        may_not = {"X-API-Key": parts.keys.create("n", DEFAULT_TENANT, ["enroll"]).text}
        may = {"X-API-Key": parts.keys.create("n", DEFAULT_TENANT, ["enroll", "force"]).text}
        refused = client.post(ENROLLMENTS, data={"force": "true"}, headers=may_not, **stranger)
        assert "'force'" in problem(refused, 403, "forbidden")
        problem(client.post(ENROLLMENTS, headers=may, **stranger), 422, "inconsistent_voice")
        forced = client.post(ENROLLMENTS, data={"force": "true"}, headers=may, **stranger)
        assert (forced.status_code, forced.json()["speaker"]["enrollment_count"]) == (201, 3)
        problem(
            client.post(ENROLLMENTS, data={"force": "true"}, headers=may, files=audio(clip(speech_s=0.2))),
            422,
            "not_enough_speech",
        )
    forced_entry = parts.trail.entries[-2]  # type: ignore[attr-defined]
    assert (forced_entry.action, forced_entry.outcome) == ("enroll", "forced")
