"""The job end to end: shipped bundle, real voices, real decoders, SQLite, FAISS, HTTP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

import shipped
import signals
from app.main import create_app
from model.bundle import load_bundle
from model.decoding import DecodingLimits, decode
from model.embedding import embed
from model.scoring import Embedding
from training.dataset import read_samples
from training.encoders import embed_files, open_encoder
from training.metrics import eer, error_curve
from training.trial_scores import score_trials
from training.trials import Trials, read_trials

BARS = {"librispeech-test-other-test": 0.012, "speechocean762-dev": 0.038, "dspspeech20-test": 0.175}
"""Highest EER that the first bundle may have, by trial list."""
LISTS = tuple(BARS)
N_COMPARED = 8


def trials_of(name: str) -> Trials:
    root = signals.data_folder()
    return read_trials(root / "trials" / f"{name}.txt", root)


def compare(service: TestClient, a: bytes, b: bytes) -> dict[str, object]:
    answer = service.post("/v1/compare", files={"audio_a": a, "audio_b": b})
    assert answer.status_code == 200, answer.text
    body: dict[str, object] = answer.json()
    return body


def enrol(service: TestClient, speaker_id: str, clips: list[bytes]) -> None:
    assert service.post("/v1/speakers", json={"speaker_id": speaker_id}).status_code == 201
    files = [("audio", clip) for clip in clips]
    answer = service.post(f"/v1/speakers/{speaker_id}/enrollments", files=files)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize("name", LISTS)
def test_scores_over_http_are_those_of_the_offline_evaluation(service: TestClient, name: str) -> None:
    trials = trials_of(name)
    chosen = np.random.default_rng(1).choice(len(trials.labels), N_COMPARED, replace=False)
    clips = sorted({*trials.a[chosen], *trials.b[chosen]})
    module = open_encoder(shipped.BUNDLE).module
    offline = dict(zip(clips, embed_files(module, [trials.paths[i] for i in clips], name), strict=True))
    for t in chosen:
        a, b = trials.a[t], trials.b[t]
        body = compare(service, trials.paths[a].read_bytes(), trials.paths[b].read_bytes())
        pair = Trials("one", (), np.array([0]), np.array([1]), trials.labels[[t]], trials.speakers[[a, b]])
        expected = score_trials(pair, np.stack([offline[a], offline[b]]), "cosine")[0]
        assert body["score"] == pytest.approx(expected, abs=1e-3)


def eer_of(trials: Trials, embeddings: Embedding) -> float:
    return eer(error_curve(score_trials(trials, embeddings, "cosine"), trials.labels))[0]


def test_the_eer_over_http_is_that_of_the_offline_evaluation(service: TestClient) -> None:
    trials = trials_of("librispeech-test-other-test")
    answers = [service.post("/v1/embeddings", files={"audio": path.read_bytes()}).json() for path in trials.paths]
    over_http = np.array([answer["embedding"] for answer in answers], dtype=np.float32)
    offline = embed_files(open_encoder(shipped.BUNDLE).module, trials.paths, trials.name)
    assert eer_of(trials, over_http) == pytest.approx(eer_of(trials, offline), abs=0.001)


@pytest.mark.parametrize("name", LISTS)
def test_the_shipped_encoder_is_as_good_as_its_card_says_and_holds_its_bar(name: str) -> None:
    trials = trials_of(name)
    found = eer_of(trials, embed_files(open_encoder(shipped.BUNDLE).module, trials.paths, trials.name))
    assert found <= BARS[name]
    rows = load_bundle(shipped.BUNDLE).card["evaluations"]
    cosines = [row for row in rows if row["score"] == "cosine" and row.get("n_enrollment_clips", 1) == 1]
    measured = {row["trials"]: row["eer"] for row in cosines}
    assert found == pytest.approx(measured[name], abs=0.0005)


def test_a_real_clip_embeds_alike_alone_twice_and_in_a_padded_batch() -> None:
    module = open_encoder(shipped.BUNDLE).module
    rng = np.random.default_rng(5)
    paths = [trials_of(name).paths[i] for name in LISTS for i in (0, 7, 31)]
    clips = [read_samples(path) for path in paths]
    clips = [clip[: int(rng.integers(len(clip) // 3, len(clip) + 1))] for clip in clips]
    batched = embed(module, clips)
    for clip, expected in zip(clips, batched, strict=True):
        alone = embed(module, [clip])[0]
        assert np.abs(alone - embed(module, [clip])[0]).max() <= 1e-4
        assert np.abs(alone - expected).max() <= 1e-4


def test_one_voice_is_accepted_and_two_are_rejected(service: TestClient) -> None:
    trials = trials_of("librispeech-test-other-test")
    rng = np.random.default_rng(2)
    for label, decision in ((True, "accept"), (False, "reject")):
        chosen = rng.choice(np.flatnonzero(trials.labels == label), 10, replace=False)
        answers = [
            compare(service, trials.paths[trials.a[t]].read_bytes(), trials.paths[trials.b[t]].read_bytes())["decision"]
            for t in chosen
        ]
        assert answers.count(decision) >= 9, answers


def not_a_voice() -> dict[str, bytes]:
    speech = signals.voices("librispeech-test-other", 1)[0]
    samples = decode(speech, DecodingLimits()).samples
    loudest = int(np.argmax(np.convolve(samples**2, np.ones(4_800), mode="valid")))
    return {
        "silence": signals.wav(signals.silence(4.0)),
        "white noise": signals.wav(signals.white_noise(4.0)),
        "a 440 Hz tone": signals.wav(signals.tone(4.0, frequency_hz=440.0)),
        "0.3 s of speech": signals.wav(samples[loudest : loudest + 4_800, None]),
    }


def test_what_is_no_voice_is_never_accepted_and_never_enrolled(service: TestClient) -> None:
    trials = trials_of("librispeech-test-other-test")
    clips = [trials.paths[i].read_bytes() for i in np.flatnonzero(trials.speakers == 0)[:3]]
    enrol(service, "no-voice-target", clips)
    assert service.post("/v1/speakers", json={"speaker_id": "nobody"}).status_code == 201
    for name, clip in not_a_voice().items():
        for other in (clip, clips[0]):
            body = compare(service, clip, other)
            assert body["decision"] == "inconclusive", name
            assert body["reasons"], name
        verified = service.post("/v1/speakers/no-voice-target/verify", files={"audio": clip}).json()
        assert verified["decision"] == "inconclusive", name
        identified = service.post("/v1/identify", files={"audio": clip}).json()
        assert identified["decision"] == "inconclusive", name
        refused = service.post("/v1/speakers/nobody/enrollments", files={"audio": clip})
        assert refused.status_code == 422, name
        assert refused.json()["code"] in ("not_enough_speech", "too_noisy"), name
    assert service.get("/v1/speakers/nobody").json()["enrollment_count"] == 0


def test_a_strangers_clip_does_not_join_a_speaker(service: TestClient) -> None:
    mine = [(shipped.CLIPS / f"speaker-a-{i}.ogg").read_bytes() for i in (1, 2, 3)]
    stranger = (shipped.CLIPS / "speaker-b-1.ogg").read_bytes()
    enrol(service, "one-voice", mine[:2])
    for clips in ([stranger], [mine[2], stranger]):
        refused = service.post("/v1/speakers/one-voice/enrollments", files=[("audio", clip) for clip in clips])
        assert (refused.status_code, refused.json()["code"]) == (422, "inconsistent_voice")
    assert service.get("/v1/speakers/one-voice").json()["enrollment_count"] == 2
    kept = service.post("/v1/speakers/one-voice/enrollments", files={"audio": mine[2]})
    assert kept.json()["speaker"]["enrollment_count"] == 3


def test_enrolled_speakers_survive_a_restart_and_the_erased_do_not(tmp_path: Path) -> None:
    trials = trials_of("librispeech-test-other-test")
    by_speaker = [[trials.paths[i].read_bytes() for i in np.flatnonzero(trials.speakers == s)[:4]] for s in (0, 1)]
    settings = shipped.settings(tmp_path)
    with TestClient(create_app(settings), base_url=shipped.BASE_URL) as client:
        for name, clips in zip(("kept", "erased"), by_speaker, strict=True):
            enrol(client, name, clips[:3])
            assert client.post(f"/v1/speakers/{name}/verify", files={"audio": clips[3]}).json()["decision"] == "accept"
        assert client.delete("/v1/speakers/erased").status_code == 204
    with TestClient(create_app(settings), base_url=shipped.BASE_URL) as client:
        assert client.get("/v1/speakers/kept").json()["status"] == "enrolled"
        assert client.get("/v1/speakers/erased").status_code == 404
        found = client.post("/v1/identify", files={"audio": by_speaker[0][3]}).json()
        assert (found["decision"], found["candidates"][0]["speaker_id"]) == ("accept", "kept")
        gone = client.post("/v1/identify", files={"audio": by_speaker[1][3]}).json()
        assert "erased" not in [candidate["speaker_id"] for candidate in gone["candidates"]]
        other = client.post("/v1/speakers/kept/verify", files={"audio": by_speaker[1][3]}).json()
        assert other["decision"] == "reject"
