"""What `/metrics` tells of trials: how they were decided, and nothing that could be told from one of them."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

import fake_audio
from api_client import DocumentedClient, audio, enroll, pair, serving
from app.api.rounding import LLR_STEP
from app.usecases.score_drift import LLR_BOUNDS, N_RECENT, N_REFERENCE
from fake_audio import FakeDecoder, clip
from samples import new_enrollment

Samples = dict[tuple[str, ...], float]


def scraped(client: DocumentedClient, name: str) -> Samples:
    """The values of one sample, by the values of its labels in the order of their names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.name == name
    }


def counted(samples: Samples) -> Samples:
    return {labels: value for labels, value in samples.items() if value}


def test_decisions_and_clips_are_counted_by_the_call_that_asked(client: DocumentedClient) -> None:
    assert set(scraped(client, "vouch_decisions_total").values()) == {0.0}, "there from the start"
    enroll(client, "alice")
    client.post("/v1/speakers/alice/verify", files=audio(clip("alice", 9)))
    client.post("/v1/speakers/alice/verify", files=audio(clip("mallory")))
    client.post("/v1/speakers/alice/verify", files=audio(clip("alice", 9, speech_s=0.4, snr_db=None)))
    client.post("/v1/compare", files=pair(clip("alice"), clip("mallory")))
    client.post("/v1/identify", files=audio(clip("alice", 9, snr_db=12.0)))
    client.post("/v1/identify", files=audio(b"no audio"))
    client.post("/v1/speakers/nobody/verify", files=audio(clip("alice", 9)))
    assert counted(scraped(client, "vouch_decisions_total")) == {
        ("verify", "accept"): 1,
        ("verify", "reject"): 1,
        ("verify", "inconclusive"): 1,
        ("compare", "reject"): 1,
        ("identify", "accept"): 1,
    }
    assert counted(scraped(client, "vouch_llr_count")) == {
        ("verify", "accept"): 1,
        ("verify", "reject"): 1,
        ("compare", "reject"): 1,
    }
    assert scraped(client, "vouch_probe_speech_seconds_count") == {("verify",): 3, ("compare",): 2, ("identify",): 1}
    assert scraped(client, "vouch_probe_snr_db_count") == {("verify",): 2, ("compare",): 2, ("identify",): 1}
    assert scraped(client, "vouch_probe_snr_db_sum")["identify",] == 12.0


def test_ratios_are_no_finer_than_a_key_without_exact_scores_sees_them(client: DocumentedClient) -> None:
    client.post("/v1/compare", files=pair(clip(), clip(take=2)))
    assert scraped(client, "vouch_llr_count")["compare", "accept"] == 1
    assert scraped(client, "vouch_llr_sum") == {}, "read before and after, a sum would be this trial's ratio"
    bounds = sorted({float(labels[-1]) for labels in scraped(client, "vouch_llr_bucket")})
    assert bounds == [*LLR_BOUNDS, math.inf]
    assert all(upper - lower >= 2 * LLR_STEP for lower, upper in itertools.pairwise(bounds))


def test_the_drift_is_told_once_there_are_enough_trials(client: DocumentedClient) -> None:
    enroll(client, "alice")
    assert all(math.isnan(value) for value in scraped(client, "vouch_score_drift").values())
    voice = client.app.state.metrics.voice
    use_cases = client.app.state.service.use_cases
    genuine = use_cases.verify("default", "alice", clip("alice", 9))
    stranger = use_cases.verify("default", "alice", clip("mallory"))
    for result, n in ((genuine, N_REFERENCE), (stranger, N_RECENT)):
        for _ in range(n):
            voice.count_verification("verify", result)
    drift = scraped(client, "vouch_score_drift")
    assert drift["verify",] > 1
    assert math.isnan(drift["compare",])


def test_no_label_names_a_speaker_a_key_or_a_tenant() -> None:
    keys = fake_audio.api_keys()
    made = keys.create("a client", "acme", ["compare", "enroll", "verify", "identify", "metrics"])
    with serving(fake_audio.components(keys=keys)) as client:
        client.headers["X-API-Key"] = made.text
        enroll(client, "alice")
        client.post("/v1/speakers/alice/verify", files=audio(clip("alice", 9)))
        client.post("/v1/identify", files=audio(clip("alice", 9)))
        text = client.get("/metrics").text
    assert not [told for told in ("alice", "acme", made.key.key_id, "a client") if told in text]


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    decoder = FakeDecoder()
    with serving(fake_audio.components(decoder=decoder), data_dir=tmp_path) as client:
        store, agreement = (
            client.app.state.service.use_cases.speakers.store,
            client.app.state.service.use_cases.agreement,
        )
        assert scraped(client, "vouch_data_free_bytes")[()] > 0
        names = ("vouch_decoder_deaths_total", "vouch_speakers_stale", "vouch_gallery_differences")
        assert [scraped(client, name) for name in names] == [{(): 0}] * 3
        decoder.n_deaths = 2
        enroll(client, "alice")
        store.create_speaker("default", "bob", None, {}, None)
        store.add_enrollments("default", "bob", "encoder-b", [new_enrollment(1)])
        agreement.look()
        agreement.n_differing = 3
        assert [scraped(client, name) for name in names] == [{(): 2}, {(): 1}, {(): 3}]


def test_a_data_directory_that_is_gone_hides_nothing_else(tmp_path: Path) -> None:
    with serving(data_dir=tmp_path / "gone") as client:
        assert math.isnan(scraped(client, "vouch_data_free_bytes")[()])
        assert scraped(client, "vouch_work_places")[()] > 0
