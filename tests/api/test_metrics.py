"""Where the time went: the `Server-Timing` of one answer, and `/metrics` of them all."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

import fake_audio
from api_client import Answer, DocumentedClient, audio, enroll, pair, post_scope, problem, serving
from app.adapters.faiss_gallery import FaissGallery
from app.adapters.sql_store import open_store
from app.adapters.work_queue import ThreadWorkQueue
from app.api.metrics import CONTENT_TYPE, METHODS
from app.api.problems import KINDS
from app.components import Components
from app.main import create_app
from app.records import Speaker
from app.stages import STAGES
from fake_audio import N_EMBEDDING, BlockingEmbedder, FakeDecoder, FakeEmbedder, clip
from fake_store import FakeSpeakerStore
from model.waveform import Waveform
from samples import ENCODER_ID, MASTER

pytestmark = pytest.mark.in_memory

HEARD = ["queue", "decode", "quality", "encode", "replay"]
ROUTES = {
    "POST /v1/compare",
    "GET /v1/compare",
    "GET /v1/speakers/{speaker_id}",
    "GET (no route)",
    "(other) (no route)",
}


def timing(answer: Answer) -> dict[str, float]:
    """Milliseconds by name, in the header's order, the total left out: it is always there, and the last."""
    entries = answer.headers["Server-Timing"].split(", ")
    found = [re.fullmatch(r"([a-z]+);dur=(\d+\.\d\d)", entry) for entry in entries]
    assert all(found), entries
    times = {match[1]: float(match[2]) for match in found if match}
    assert list(times)[-1] == "total"
    assert len(times) == len(entries)
    assert times.pop("total") > 0
    return times


def scraped(client: TestClient) -> dict[str, dict[tuple[str, ...], float]]:
    """Values by sample, and by the values of its labels in the order of their names."""
    answer = client.get("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (200, CONTENT_TYPE)
    values: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            values.setdefault(sample.name, {})[labels] = sample.value
    return values


def parts(database: Path, **others: Any) -> Components:
    """On the real store and the real gallery, which are what takes the time."""
    return fake_audio.components(
        store=open_store(f"sqlite:///{database}", MASTER),
        gallery=FaissGallery(ENCODER_ID, N_EMBEDDING),
        **others,
    )


@pytest.fixture
def real(tmp_path: Path) -> Iterator[DocumentedClient]:
    with serving(parts(tmp_path / "vouch.db")) as client:
        yield client


def test_the_header_names_the_stages_that_happened_and_no_others(real: DocumentedClient) -> None:
    created = real.post("/v1/speakers", json={"speaker_id": "alice"})
    enrolled = real.post("/v1/speakers/alice/enrollments", files=audio(clip("alice", 1), clip("alice", 2)))
    verified = real.post("/v1/speakers/alice/verify", files=audio(clip("alice", 3)))
    silent = clip(is_constant=True)
    assert [answer.status_code for answer in (created, enrolled, verified)] == [201, 201, 200]
    assert list(timing(created)) == ["store"]
    assert list(timing(enrolled)) == [*HEARD, "store"]
    assert list(timing(verified)) == [*HEARD, "store"]
    assert list(timing(real.post("/v1/identify", files=audio(clip("alice", 4))))) == [*HEARD, "search", "store"]
    assert list(timing(real.post("/v1/identify", files=audio(silent)))) == ["queue", "decode", "quality"]
    assert list(timing(real.post("/v1/compare", files=pair(clip(), clip())))) == HEARD
    assert list(timing(real.delete("/v1/speakers/alice"))) == ["store"]
    assert list(timing(real.post("/v1/identify", files=audio(clip("alice", 4))))) == [*HEARD, "search"]
    assert list(timing(real.get("/readyz"))) == ["store"]
    for path in ("/v1/model", "/livez", "/metrics", "/openapi.json"):
        assert timing(real.get(path)) == {}


def test_stages_of_one_clip_come_one_after_the_other_within_the_total(real: DocumentedClient) -> None:
    enroll(real, "alice")
    answer = real.post("/v1/identify", files=audio(clip("alice", 4)))
    times, total = timing(answer), float(answer.headers["Server-Timing"].rpartition("total;dur=")[2])
    assert len(times) == len(STAGES)
    assert 0 < sum(times.values()) <= total + 0.005 * (len(times) + 1), "but for the rounding"


def test_a_caller_who_left_is_counted_without_a_status(client: DocumentedClient) -> None:
    async def leave() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def unsent(message: Any) -> None:
        raise AssertionError(f"nobody is there for {message}")

    asyncio.run(client.app(post_scope("/v1/compare", "multipart/form-data; boundary=b"), leave, unsent))
    assert scraped(client)["vouch_request_seconds_count"] == {("POST", "/v1/compare", "(none)"): 1}


def test_problems_tell_where_their_time_went_too() -> None:
    class Broken(FakeDecoder):
        def decode(self, data: bytes) -> Waveform:
            if b"mallory" in data:
                raise RuntimeError("a mistake")
            return super().decode(data)

    with serving(fake_audio.components(decoder=Broken())) as client:
        broken = client.post("/v1/compare", files=pair(clip("mallory"), clip()))
        problem(broken, 500, "internal_error")
        unread = client.post("/v1/compare", files=pair(clip(), b"text"))
        problem(unread, 415, "unsupported_audio")
        foreign = client.get("/livez", headers={"Host": "voice.example"})
        problem(foreign, 403, "forbidden")
        assert set(timing(broken)) >= {"queue", "decode"}  # and those of the other clip, had it begun by then
        assert list(timing(unread)) == HEARD
        assert timing(foreign) == {}
        assert {code for (code,), n in scraped(client)["vouch_problems_total"].items() if n} == {
            *("internal_error", "unsupported_audio", "forbidden")
        }


def test_metrics_count_what_was_sent(real: DocumentedClient) -> None:
    enroll(real, "alice")
    for _ in range(3):
        real.post("/v1/identify", files=audio(clip("alice", 4)))
    real.get("/v1/speakers/bob")
    values = scraped(real)
    assert values["vouch_request_seconds_count"] == {
        ("POST", "/v1/speakers", "201"): 1,
        ("POST", "/v1/speakers/{speaker_id}/enrollments", "201"): 1,
        ("POST", "/v1/identify", "200"): 3,
        ("GET", "/v1/speakers/{speaker_id}", "404"): 1,
    }
    n_stages = {"queue": 4, "decode": 4, "quality": 4, "encode": 4, "replay": 4, "search": 3, "store": 6}
    assert values["vouch_stage_seconds_count"] == {(name,): n for name, n in n_stages.items()}
    assert {labels[1] for labels in values["vouch_stage_seconds_bucket"]} == set(STAGES)
    for name in STAGES:
        assert values["vouch_stage_seconds_bucket"]["+Inf", name] == n_stages[name]
        assert values["vouch_stage_seconds_sum"][name,] > 0
    assert values["vouch_problems_total"] == {(code,): float(code == "speaker_not_found") for code in KINDS}
    assert scraped(real)["vouch_request_seconds_count"]["GET", "/metrics", "200"] == 1


def test_the_service_says_what_it_is_and_the_process_how_it_fares(client: DocumentedClient) -> None:
    values = scraped(client)
    assert values["vouch_info"] == {("written-bundle", "cpu", "encoder-a", "fake", client.app.version): 1}
    assert (values["vouch_work_places_taken"], values["vouch_work_places"]) == ({(): 0}, {(): 10})
    assert values["python_info"]
    assert values["python_gc_collections_total"]


def test_labels_are_few_whatever_callers_send(client: DocumentedClient) -> None:
    def send(i: int) -> None:
        client.get(f"/nothing/{i}")
        client.request(f"METHOD{i}", f"/nothing/{i}")
        client.get(f"/v1/speakers/person-{i}")
        client.get("/v1/compare")
        client.post("/v1/compare", files=pair(clip(f"person-{i}"), clip()), data={"operating_point": f"point-{i}"})

    def labels() -> set[tuple[str, tuple[str, ...]]]:
        return {(name, found) for name, values in scraped(client).items() for found in values}

    send(1)
    labels()  # the next look counts this one
    before = labels()
    for i in range(2, 6):
        send(i)
    assert labels() == before
    routes = {f"{found[0]} {found[1]}" for name, found in before if name == "vouch_request_seconds_count"}
    assert routes == ROUTES | {"GET /metrics"}
    assert not re.search("person|nothing|default|METHOD|point-", client.get("/metrics").text)


def test_every_method_that_a_call_has_is_a_label_of_its_own() -> None:
    document = create_app(fake_audio.settings(), fake_audio.components()).openapi()
    asked_for = {method.upper() for methods in document["paths"].values() for method in methods}
    assert {"GET", "POST", "PATCH", "DELETE"} <= asked_for <= METHODS


def test_before_the_start_there_are_metrics_without_a_model() -> None:
    client = DocumentedClient(create_app(fake_audio.settings(), fake_audio.components()))
    problem(client.get("/readyz"), 503, "model_not_ready")
    values = scraped(client)
    assert "vouch_info" not in values
    assert values["vouch_work_places"] == {(): 0}
    assert values["vouch_problems_total"]["model_not_ready",] == 1
    assert values["vouch_request_seconds_count"] == {("GET", "/readyz", "503"): 1}


def test_apps_of_one_process_do_not_count_for_each_other(client: DocumentedClient) -> None:
    with serving() as other:
        other.get("/livez")
        assert ("GET", "/livez", "200") in scraped(other)["vouch_request_seconds_count"]
    assert "vouch_request_seconds_count" not in scraped(client)


def test_a_full_queue_is_seen_and_its_refusals_are_counted() -> None:
    embedder, work = BlockingEmbedder(), ThreadWorkQueue(1, 0)
    with serving(fake_audio.components(embedder=embedder, work=work)) as client, ThreadPoolExecutor(1) as callers:
        first = callers.submit(client.post, "/v1/compare", files=pair(clip(), clip()))
        try:
            assert embedder.has_begun.wait(timeout=20)
            refused = client.post("/v1/compare", files=pair(clip(), clip()))
            problem(refused, 503, "overloaded")
            assert timing(refused) == {}
            values = scraped(client)
        finally:
            embedder.go_on.set()
        assert (values["vouch_work_places_taken"], values["vouch_work_places"]) == ({(): 1}, {(): 1})
        assert values["vouch_problems_total"]["overloaded",] == 1
        assert values["vouch_request_seconds_count"] == {("POST", "/v1/compare", "503"): 1}
        assert first.result().status_code == 200
        after = scraped(client)
        assert after["vouch_work_places_taken"] == {(): 0}
        assert after["vouch_request_seconds_count"]["POST", "/v1/compare", "200"] == 1


def test_metrics_answer_while_every_thread_waits_for_the_store() -> None:
    n_threads = 40  # what the framework has for calls on the store

    class Stuck(FakeSpeakerStore):
        def __init__(self) -> None:
            super().__init__()
            self.come, self.go_on = threading.Semaphore(0), threading.Event()

        def get_speaker(self, tenant: str, speaker_id: str) -> Speaker:
            self.come.release()
            assert self.go_on.wait(timeout=20)
            return super().get_speaker(tenant, speaker_id)

    store = Stuck()
    with serving(fake_audio.components(store=store)) as client, ThreadPoolExecutor(n_threads + 2) as callers:
        calls = [callers.submit(client.get, "/v1/speakers/alice") for _ in range(n_threads + 1)]
        try:
            assert all(store.come.acquire(timeout=20) for _ in range(n_threads))
            assert not store.come.acquire(blocking=False), "the last one has no thread"
            assert "vouch_request_seconds_count" not in callers.submit(scraped, client).result(timeout=20)
        finally:
            store.go_on.set()
        assert {call.result().status_code for call in calls} == {404}


def test_a_request_does_not_get_the_times_of_another_that_runs_meanwhile(tmp_path: Path) -> None:
    class WaitsForMallory(FakeEmbedder):
        def __init__(self) -> None:
            super().__init__()
            self.has_begun, self.go_on = threading.Event(), threading.Event()

        def embed(self, waveform: Waveform) -> Any:
            if waveform.written["voice"] == "mallory":  # type: ignore[attr-defined]
                self.has_begun.set()
                assert self.go_on.wait(timeout=20)
            return super().embed(waveform)

    embedder, work = WaitsForMallory(), ThreadWorkQueue(4, 8)  # more than mallory's two clips can hold up
    components = parts(tmp_path / "vouch.db", embedder=embedder, work=work)
    with serving(components) as client, ThreadPoolExecutor(1) as callers:
        enroll(client, "alice")
        waiting = callers.submit(client.post, "/v1/compare", files=pair(clip("mallory"), clip("mallory")))
        try:
            assert embedder.has_begun.wait(timeout=20)
            meanwhile = client.post("/v1/identify", files=audio(clip("alice", 5)))
        finally:
            embedder.go_on.set()
        assert list(timing(meanwhile)) == [*HEARD, "search", "store"]
        assert list(timing(waiting.result())) == HEARD


def test_many_at_once_get_their_own_stages_each(tmp_path: Path) -> None:
    n_each = 12
    work = ThreadWorkQueue(4, 100)
    with serving(parts(tmp_path / "vouch.db", work=work)) as client, ThreadPoolExecutor(8) as callers:
        enroll(client, "alice")
        calls = []
        for _ in range(n_each):
            calls += [
                (HEARD, callers.submit(client.post, "/v1/compare", files=pair(clip(), clip()))),
                ([*HEARD, "search", "store"], callers.submit(client.post, "/v1/identify", files=audio(clip("alice")))),
                (["store"], callers.submit(client.get, "/v1/speakers/alice")),
                ([], callers.submit(client.get, "/v1/model")),
            ]
        for expected, call in calls:
            assert list(timing(call.result())) == expected
        counts = scraped(client)["vouch_stage_seconds_count"]
    # Enrolling was one call that heard clips, and two on the store.
    assert counts["decode",] == 2 * n_each + 1
    assert counts["search",] == n_each
    assert counts["store",] == 2 * n_each + 2
