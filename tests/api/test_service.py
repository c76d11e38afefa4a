"""The service as a whole: probes, the model, ids of requests, errors, load, and who comes last."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import fake_audio
from api_client import DocumentedClient, audio, enroll, pair, problem, serving
from app.adapters.work_queue import ThreadWorkQueue
from app.api.model_schema import NO_ATTACK_DETECTION
from app.errors import SpeakerExists, SpeakerNotFound, StoreError
from app.main import create_app
from app.records import DEFAULT_TENANT, Reference, Speaker
from fake_audio import BlockingEmbedder, FakeDecoder, clip
from fake_gallery import FakeGallery
from fake_store import FakeSpeakerStore
from made_curves import CURVE
from model.waveform import Waveform


class FailingStore(FakeSpeakerStore):
    """Answers until `is_broken`."""

    is_broken = False

    def get_speaker(self, tenant: str, speaker_id: str) -> Speaker:
        self.check()
        return super().get_speaker(tenant, speaker_id)

    def check(self) -> None:
        if self.is_broken:
            raise StoreError("cannot open /secret/place/vouch.db")


def test_probes_of_a_service_that_serves(client: DocumentedClient) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_probes_may_be_asked_for_their_head_alone(client: DocumentedClient) -> None:
    for path in ("/livez", "/readyz"):
        full, head = client.get(path), client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        kept = ("content-type", "content-length", "cache-control")
        assert [head.headers[name] for name in kept] == [full.headers[name] for name in kept]
    not_started = DocumentedClient(create_app(fake_audio.settings(), fake_audio.components()))
    assert (not_started.head("/livez").status_code, not_started.head("/readyz").status_code) == (200, 503)


def test_before_the_start_it_is_alive_but_not_ready() -> None:
    client = DocumentedClient(create_app(fake_audio.settings(), fake_audio.components()))
    assert client.get("/livez").status_code == 200
    for answer in (
        client.get("/readyz"),
        client.get("/v1/model"),
        client.get("/v1/speakers"),
        client.post("/v1/speakers", json={}),
        client.post("/v1/compare", files=pair(clip(), clip())),
        client.post("/v1/identify", files=audio(clip())),
        client.post("/v1/embeddings", files=audio(clip())),
        client.post("/v1/speakers/alice/verify", files=audio(clip())),
        client.post("/v1/speakers/alice/enrollments", files=audio(clip())),
    ):
        problem(answer, 503, "model_not_ready")
        assert int(answer.headers["Retry-After"]) >= 1


def test_a_store_that_fails_is_503_and_tells_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    store = FailingStore()
    with serving(fake_audio.components(store=store)) as client:
        store.is_broken = True
        not_ready = client.get("/readyz")
        problem(not_ready, 503, "model_not_ready")
        answer = client.get("/v1/speakers/alice")
        problem(answer, 503, "store_error")
        assert int(answer.headers["Retry-After"]) >= 1
        assert "secret" not in answer.text + not_ready.text
        assert "/secret/place" in caplog.text
        assert client.get("/livez").status_code == 200
        store.is_broken = False
        assert client.get("/readyz").status_code == 200


def test_it_is_not_ready_while_the_gallery_is_put_right(caplog: pytest.LogCaptureFixture) -> None:
    class Slow(FakeGallery):
        """Waits for `go_on` before it takes anybody once more."""

        def __init__(self) -> None:
            super().__init__(n_embedding=fake_audio.N_EMBEDDING)
            self.has_begun, self.go_on = threading.Event(), threading.Event()
            self.go_on.set()

        def upsert(self, reference: Reference) -> None:
            self.has_begun.set()
            assert self.go_on.wait(timeout=20)
            super().upsert(reference)

    gallery = Slow()
    with serving(fake_audio.components(gallery=gallery)) as client, ThreadPoolExecutor(1) as background:
        enroll(client, "alice")
        agreement = client.app.state.service.use_cases.agreement
        agreement.look()
        assert client.get("/readyz").status_code == 200
        gallery.remove(DEFAULT_TENANT, gallery.numbers()[DEFAULT_TENANT].tolist())
        agreement.look()
        assert client.get("/readyz").status_code == 200, "it may be a change in flight"
        gallery.has_begun.clear()
        gallery.go_on.clear()
        looking = background.submit(agreement.look)
        try:
            assert gallery.has_begun.wait(timeout=20)
            detail = problem(client.get("/readyz"), 503, "model_not_ready")
        finally:
            gallery.go_on.set()
        looking.result(timeout=20)
        assert detail == "The gallery does not hold whom the store says is enrolled; it is being put right."
        assert "speakers who differ between gallery and store: 1" in caplog.text
        assert client.get("/readyz").json() == {"status": "ready"}
        found = client.post("/v1/identify", files=audio(clip("alice", 9))).json()
        assert [one["speaker_id"] for one in found["candidates"]] == ["alice"]


def test_it_is_not_ready_with_the_gallery_of_another_encoder() -> None:
    gallery = FakeGallery("encoder-b", fake_audio.N_EMBEDDING)
    with serving(fake_audio.components(gallery=gallery)) as client:
        detail = problem(client.get("/readyz"), 503, "model_not_ready")
        assert detail == "The gallery holds the references of another encoder than the one that is loaded."


def test_it_is_not_ready_once_it_drains_and_serves_all_the_same(client: DocumentedClient) -> None:
    assert "Connection" not in client.get("/readyz").headers
    client.app.state.drain.begin()
    assert "is stopping" in problem(client.get("/readyz"), 503, "model_not_ready")
    answer = client.post("/v1/compare", files=pair(clip(), clip()))
    assert (answer.status_code, answer.headers["Connection"]) == (200, "close")


def test_the_model_gives_account_of_itself(client: DocumentedClient) -> None:
    body = client.get("/v1/model").json()
    assert (body["id"], body["sha256"], body["encoder_id"]) == ("written-bundle", "ab" * 32, "encoder-a")
    assert (body["calibration_id"], body["default_operating_point"], body["prior"]) == ("calibration-a", "eer", 0.5)
    assert [point["name"] for point in body["operating_points"]] == ["eer", "fmr_1e-2", "unreachable"]
    assert [point["score"] for point in body["operating_points"]] == [
        0.5,
        pytest.approx(fake_audio.LIKELIHOOD.nominal_cosine_at(2.0), abs=1e-6),
        None,
    ]
    assert body["operating_points"][0]["fmr_interval"] == [0.01, 0.03]
    assert body["error_rates"][0]["eer"] == 0.02
    assert [row["detection_costs"] for row in body["error_rates"]] == [[], fake_audio.COSTS]
    assert [(row["min_dcf"], row["p_target"]) for row in body["error_rates"]] == [(None, None), (0.2, 0.01)]
    assert body["card"] == "# Written audio\n"
    assert [row["calibrated"] for row in body["error_rates"]] == [None, fake_audio.CALIBRATED]
    assert (body["licence"], body["limits"]) == ("Apache-2.0", ["Hears written audio only."])
    assert body["training_data"] == {"corpora": ["written"]}
    assert (body["device"], body["engine"]) == ("cpu", "fake")
    assert body["presentation_attack_detection"] is False
    assert body["presentation_attack_notice"] == NO_ATTACK_DETECTION


def test_the_model_gives_its_error_curve_where_it_has_one(client: DocumentedClient) -> None:
    assert client.get("/v1/model").json()["error_curve"] is None
    parts = fake_audio.components()
    with serving(replace(parts, facts=replace(parts.facts, error_curve=CURVE))) as with_curve:
        curve = with_curve.get("/v1/model").json()["error_curve"]
    assert curve == {
        "llrs": [-2.0, 0.5, 3.0],
        "fmr": [1.0, 0.1, 0.0],
        "fnmr": [0.0, 0.1, 1.0],
        "fmr_intervals": [[1.0, 1.0], [0.0, 0.2], [0.0, 0.0]],
        "fnmr_intervals": [[0.0, 0.0], [0.0, 0.2], [1.0, 1.0]],
        "n_target": 30,
        "n_non_target": 300,
        "measured_on": "made trials",
    }


def test_a_sane_request_id_is_kept_and_another_replaced(client: DocumentedClient) -> None:
    answer = client.post("/v1/compare", files=pair(clip(), clip()), headers={"X-Request-ID": "trace-1.a_B"})
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"] == "trace-1.a_B"
    for odd in ("", "a b", "x" * 129, "<script>", "ä"):
        answer = client.get("/nothing", headers=[(b"X-Request-ID", odd.encode())])
        assert answer.headers["X-Request-ID"].startswith("req_")
        problem(answer, 404, "not_found")
    assert client.get("/livez").headers["X-Request-ID"] != client.get("/livez").headers["X-Request-ID"]


@pytest.mark.parametrize(
    "path", ["/console", "/v2/compare", "/v1", "/v1/compare/", "/v1/speakers/", "/v1/speakers/a/b/c"]
)
def test_unknown_paths(client: DocumentedClient, path: str) -> None:
    assert path in problem(client.get(path), 404, "not_found")


def test_a_method_that_a_path_does_not_have(client: DocumentedClient) -> None:
    answer = client.get("/v1/compare")
    assert problem(answer, 405, "method_not_allowed") == "GET is not allowed at /v1/compare; allowed: POST."
    assert answer.headers["Allow"] == "POST"
    problem(client.put("/v1/speakers/alice"), 405, "method_not_allowed")


def test_a_mistake_of_ours_is_500_without_its_reason_and_the_next_call_is_served(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(FakeDecoder):
        def decode(self, data: bytes) -> Waveform:
            if b"mallory" in data:
                raise RuntimeError("a secret of the service")
            return super().decode(data)

    with serving(fake_audio.components(decoder=Broken())) as client:
        answer = client.post("/v1/compare", files=pair(clip("mallory"), clip()))
        problem(answer, 500, "internal_error")
        assert "secret" not in answer.text
        assert "a secret of the service" in caplog.text
        assert client.post("/v1/compare", files=pair(clip(), clip())).status_code == 200


def test_answers_are_kept_by_no_cache(client: DocumentedClient) -> None:
    headers = client.get("/v1/speakers").headers
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_the_log_names_routes_but_nobody(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="vouch"), serving() as client:
        enroll(client, "alice", display_name="Alice Example")
        client.post("/v1/speakers/alice/verify", files=audio(clip("alice", 9)))
        client.delete("/v1/speakers/alice")
    lines = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("vouch"))
    assert "POST /v1/speakers/{speaker_id}/verify 200" in lines
    assert "alice" not in lines.lower()


def test_a_full_queue_refuses_at_once_and_leaves_the_rest_alone() -> None:
    embedder = BlockingEmbedder()
    work = ThreadWorkQueue(1, 0)
    with (
        serving(fake_audio.components(embedder=embedder, work=work)) as client,
        ThreadPoolExecutor(1) as callers,
    ):
        first = callers.submit(client.post, "/v1/compare", files=pair(clip(), clip()))
        assert embedder.has_begun.wait(timeout=20)
        try:
            refused = client.post("/v1/compare", files=pair(clip(), clip()))
            assert "All 1 places are taken" in problem(refused, 503, "overloaded")
            assert int(refused.headers["Retry-After"]) >= 1
            assert client.get("/livez").status_code == 200
            assert client.get("/readyz").status_code == 200
            assert client.post("/v1/speakers", json={"speaker_id": "alice"}).status_code == 201
            assert client.get("/v1/speakers").status_code == 200
        finally:
            embedder.go_on.set()
        assert first.result().status_code == 200
        assert client.post("/v1/compare", files=pair(clip(), clip())).status_code == 200


def test_a_speaker_erased_while_a_clip_is_heard_is_not_answered_for() -> None:
    embedder = BlockingEmbedder()
    embedder.go_on.set()
    with (
        serving(fake_audio.components(embedder=embedder)) as client,
        ThreadPoolExecutor(2) as callers,
    ):
        enroll(client, "alice")
        embedder.has_begun.clear()
        embedder.go_on.clear()
        verifying = callers.submit(client.post, "/v1/speakers/alice/verify", files=audio(clip("alice", 9)))
        assert embedder.has_begun.wait(timeout=20)
        embedder.has_begun.clear()
        enrolling = callers.submit(client.post, "/v1/speakers/alice/enrollments", files=audio(clip("alice", 8)))
        assert embedder.has_begun.wait(timeout=20)
        assert client.delete("/v1/speakers/alice").status_code == 204
        embedder.go_on.set()
        problem(verifying.result(), 404, "speaker_not_found")
        problem(enrolling.result(), 404, "speaker_not_found")
        assert client.post("/v1/identify", files=audio(clip("alice"))).json()["candidates"] == []


def test_enrolling_and_erasing_at_once_leaves_store_and_gallery_agreed() -> None:
    store, gallery = FakeSpeakerStore(), FakeGallery(n_embedding=fake_audio.N_EMBEDDING)
    parts = fake_audio.components(store=store, gallery=gallery, work=ThreadWorkQueue(4, 100))
    use_cases = parts.use_cases(fake_audio.settings())
    start = threading.Barrier(4)

    def enroll_again() -> None:
        start.wait()
        for take in range(60):
            _tolerant(lambda: use_cases.speakers.create(DEFAULT_TENANT, "alice", None, {}, None))
            long_clip = clip("alice", take, speech_s=6.0, duration_s=0.1)
            _tolerant(lambda data=long_clip: use_cases.enroll(DEFAULT_TENANT, "alice", [data]))

    def erase_again() -> None:
        start.wait()
        for _ in range(120):
            _tolerant(lambda: use_cases.erase.speaker(DEFAULT_TENANT, "alice"))

    with ThreadPoolExecutor(4) as threads:
        for future in [threads.submit(work) for work in (enroll_again, enroll_again, erase_again, erase_again)]:
            future.result()
    in_store = store.find_reference(DEFAULT_TENANT, "alice")
    assert gallery.size(DEFAULT_TENANT) == (0 if in_store is None else 1)
    _tolerant(lambda: use_cases.erase.speaker(DEFAULT_TENANT, "alice"))
    assert gallery.size(DEFAULT_TENANT) == 0
    parts.close()


def _tolerant(call: Callable[[], object]) -> None:
    """The other thread may have been faster; that is the test."""
    with contextlib.suppress(SpeakerExists, SpeakerNotFound):
        call()
