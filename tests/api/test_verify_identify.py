"""POST /v1/speakers/{speaker_id}/verify, /v1/identify and /v1/embeddings; restart and erase."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

import fake_audio
from api_client import DocumentedClient, audio, enroll, problem, serving
from fake_audio import LIKELIHOOD, N_EMBEDDING, clip
from fake_gallery import FakeGallery
from fake_store import FakeSpeakerStore
from model.calibration import SideInformation
from model.likelihood import Side

VERIFY = "/v1/speakers/alice/verify"
PROBE = Side(SideInformation(speech_s=3.0, n_clips=1, snr_db=25.0), None, None)
ENROLLED = Side(SideInformation(speech_s=6.0, n_clips=2, snr_db=25.0), None, None)
"""What `enroll` enrolls, unless told otherwise."""


def identify(client: DocumentedClient, probe: bytes, **fields: Any) -> Any:
    answer = client.post("/v1/identify", files=audio(probe), data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_speaker_is_accepted_and_another_rejected(client: DocumentedClient) -> None:
    enroll(client, "alice")
    own = client.post(VERIFY, files=audio(clip("alice", 9))).json()
    assert (own["decision"], own["speaker_id"]) == ("accept", "alice")
    assert len(own["audio"]) == 1
    other = client.post(VERIFY, files=audio(clip("bob")), data={"operating_point": "fmr_1e-2"}).json()
    assert (other["decision"], other["speaker_id"]) == ("reject", "alice")
    assert other["threshold"]["operating_point"] == "fmr_1e-2"


def test_llr_and_threshold_score_are_of_this_very_trial(client: DocumentedClient) -> None:
    enroll(client, "alice")
    long, short = (client.post(VERIFY, files=audio(clip("alice", 9, speech_s=s))).json() for s in (4.0, 1.5))
    assert long["score"] == short["score"]
    assert long["llr"] > short["llr"] > 0
    for body, speech_s in ((long, 4.0), (short, 1.5)):
        probe = Side(SideInformation(speech_s=speech_s, n_clips=1, snr_db=25.0), None, None)
        assert body["llr"] == pytest.approx(LIKELIHOOD.llr(body["score"], ENROLLED, probe), abs=2e-5)
        threshold = body["threshold"]
        assert LIKELIHOOD.llr(threshold["score"], ENROLLED, probe) == pytest.approx(threshold["llr"], abs=2e-5)


def test_too_little_speech_is_inconclusive(client: DocumentedClient) -> None:
    enroll(client, "alice")
    body = client.post(VERIFY, files=audio(clip("alice", 9, speech_s=0.3))).json()
    assert (body["decision"], body["reasons"]) == ("inconclusive", ["not_enough_speech"])
    enough = client.post(VERIFY, files=audio(clip("alice", 9))).json()
    assert body["score"] == enough["score"]
    assert 0 < body["llr"] < enough["llr"]


def test_verifying_needs_an_enrolled_speaker(client: DocumentedClient) -> None:
    problem(client.post(VERIFY, files=audio(clip())), 404, "speaker_not_found")
    client.post("/v1/speakers", json={"speaker_id": "alice"})
    assert "0.00 s of enrolled speech; 5 s is needed" in problem(
        client.post(VERIFY, files=audio(clip())), 409, "not_enrolled"
    )
    client.post("/v1/speakers/alice/enrollments", files=audio(clip(speech_s=4.999)))
    detail = problem(client.post(VERIFY, files=audio(clip())), 409, "not_enrolled")
    assert detail.endswith("has 4.99 s of enrolled speech; 5 s is needed. Enrol 0.01 s more.")


def test_identifying_among_nobody(client: DocumentedClient) -> None:
    body = identify(client, clip())
    assert (body["decision"], body["reasons"], body["candidates"]) == ("reject", ["empty_gallery"], [])
    assert body["threshold"]["score"] is None
    assert set(body) == {"decision", "reasons", "flags", "candidates", "threshold", "audio", "model", "request_id"}


def test_identifying_ranks_persons_best_first(client: DocumentedClient) -> None:
    for name in ("alice", "bob", "carol"):
        enroll(client, name, display_name=name.title())
    body = identify(client, clip("bob", 9))
    assert body["decision"] == "accept"
    first, *others = body["candidates"]
    assert (first["speaker_id"], first["display_name"], first["decision"]) == ("bob", "Bob", "accept")
    assert first["llr"] == pytest.approx(LIKELIHOOD.llr(first["score"], ENROLLED, PROBE), abs=2e-5)
    threshold = body["threshold"]
    assert LIKELIHOOD.llr(threshold["score"], ENROLLED, PROBE) == pytest.approx(threshold["llr"], abs=2e-5)
    assert {candidate["speaker_id"] for candidate in others} == {"alice", "carol"}
    assert [candidate["score"] for candidate in body["candidates"]] == sorted(
        (candidate["score"] for candidate in body["candidates"]), reverse=True
    )
    assert all(candidate["decision"] == "reject" for candidate in others)


def test_a_stranger_is_nobody(client: DocumentedClient) -> None:
    for name in ("alice", "bob"):
        enroll(client, name)
    assert identify(client, clip("stranger"))["decision"] == "reject"


def test_the_threshold_rises_with_the_gallery(client: DocumentedClient) -> None:
    enroll(client, "alice")
    probe = clip("alice", 9)
    llr = identify(client, probe)["candidates"][0]["llr"]
    n_enough = math.ceil(math.exp(llr)) + 1
    assert n_enough < 5000, "the fake calibration must allow this"
    with serving(fake_audio.components(gallery=Crowd(n_enough))) as crowded:
        enroll(crowded, "alice")
        body = identify(crowded, probe)
    assert body["candidates"][0]["decision"] == "accept", "as a claim, it would do"
    assert body["decision"] == "reject"


class Crowd(FakeGallery):
    """As if many more had been searched."""

    def __init__(self, n_more: int) -> None:
        super().__init__(n_embedding=N_EMBEDDING)
        self._n_more = n_more

    def size(self, tenant: str) -> int:
        return super().size(tenant) + self._n_more


def test_two_speakers_too_alike_are_ambiguous_even_when_one_is_asked_for(client: DocumentedClient) -> None:
    clips = (clip("alice", 1), clip("alice", 2))
    enroll(client, "alice", *clips)
    enroll(client, "alice-again", *clips)
    body = identify(client, clip("alice", 9), top_k="1")
    assert (body["decision"], body["reasons"]) == ("inconclusive", ["ambiguous"])
    assert [candidate["speaker_id"] for candidate in body["candidates"]] == ["alice"]


def test_the_lead_needed_is_a_setting() -> None:
    with serving(identify_margin=0.0) as client:
        for name in ("alice", "alice-again"):
            enroll(client, name, clip("alice", 1), clip("alice", 2))
        assert identify(client, clip("alice", 9))["decision"] == "accept"


@pytest.mark.parametrize("top_k", ["1", "2", "100"])
def test_top_k_bounds_the_candidates(client: DocumentedClient, top_k: str) -> None:
    for name in ("alice", "bob", "carol"):
        enroll(client, name)
    assert len(identify(client, clip("alice"), top_k=top_k)["candidates"]) == min(int(top_k), 3)


@pytest.mark.parametrize("top_k", ["0", "101", "-1", "1.0", "", "abc", "٣", "9" * 5000])
def test_odd_top_k_is_refused(client: DocumentedClient, top_k: str) -> None:
    answer = client.post("/v1/identify", files=audio(clip()), data={"top_k": top_k})
    assert "top_k" in problem(answer, 422, "invalid_argument")


def test_a_poor_probe_is_inconclusive_but_measured(client: DocumentedClient) -> None:
    enroll(client, "alice")
    body = identify(client, clip("alice", 9, speech_s=0.5))
    assert (body["decision"], body["reasons"]) == ("inconclusive", ["not_enough_speech"])
    assert body["candidates"][0]["speaker_id"] == "alice"
    assert body["candidates"][0]["decision"] == "inconclusive"
    body = identify(client, clip("alice", 9, is_constant=True))
    assert (body["decision"], body["reasons"], body["candidates"]) == ("inconclusive", ["not_enough_speech"], [])


def test_who_is_still_enrolling_is_not_searched(client: DocumentedClient) -> None:
    enroll(client, "alice", clip("alice", 1))
    assert identify(client, clip("alice", 9))["reasons"] == ["empty_gallery"]


def test_a_gallery_that_lags_names_nobody_who_is_gone() -> None:
    class Lagging(FakeGallery):
        def remove(self, tenant: str, numbers: Iterable[int]) -> None:
            """Forgets to."""

    with serving(fake_audio.components(gallery=Lagging(n_embedding=N_EMBEDDING))) as client:
        enroll(client, "alice")
        client.delete("/v1/speakers/alice")
        assert identify(client, clip("alice", 9))["candidates"] == []


def test_a_restart_remembers_the_enrolled_and_forgets_the_erased() -> None:
    store = FakeSpeakerStore()
    with serving(fake_audio.components(store=store)) as client:
        for name in ("alice", "bob"):
            enroll(client, name)
        client.delete("/v1/speakers/bob")
    with serving(fake_audio.components(store=store)) as client:
        assert client.post(VERIFY, files=audio(clip("alice", 9))).json()["decision"] == "accept"
        found = identify(client, clip("bob", 9))
        assert [candidate["speaker_id"] for candidate in found["candidates"]] == ["alice"]
        problem(client.post("/v1/speakers/bob/verify", files=audio(clip("bob"))), 404, "speaker_not_found")


def test_embeddings_are_off_until_switched_on(client: DocumentedClient) -> None:
    detail = problem(client.post("/v1/embeddings", files=audio(clip())), 403, "forbidden")
    assert "VOUCH_EMBEDDINGS_ENABLED" in detail


def test_embeddings_give_what_compare_scores() -> None:
    with serving(embeddings_enabled=True) as client:
        a, b = (client.post("/v1/embeddings", files=audio(clip("alice", take))).json() for take in (1, 2))
        assert (a["n_embedding"], a["encoder_id"]) == (N_EMBEDDING, "encoder-a")
        assert np.linalg.norm(a["embedding"]) == pytest.approx(1, abs=1e-5)
        files = {"audio_a": ("a", clip("alice", 1)), "audio_b": ("b", clip("alice", 2))}
        score = client.post("/v1/compare", files=files).json()["score"]
        assert float(np.dot(a["embedding"], b["embedding"])) == pytest.approx(score, abs=1e-5)


def test_the_quality_gate_withholds_no_embedding() -> None:
    with serving(embeddings_enabled=True) as client:
        for poor in (clip(speech_s=0.3), clip(snr_db=-9)):
            body = client.post("/v1/embeddings", files=audio(poor)).json()
            assert np.linalg.norm(body["embedding"]) == pytest.approx(1, abs=1e-5)
        silent = clip(speech_s=0.0, is_constant=True)
        problem(client.post("/v1/embeddings", files=audio(silent)), 422, "not_enough_speech")
