"""Whoever's consent has ended is erased at a start and now and then after it, and is found by nobody meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import fake_audio
from api_client import audio, enroll, problem, serving
from app.audit import EXPIRY
from app.errors import StoreError
from app.records import DEFAULT_TENANT as ME
from app.usecases.auditing import Auditor
from app.usecases.chores import every
from app.usecases.expiry import N_AT_ONCE, Expiry
from fake_audio import clip
from fake_gallery import FakeGallery
from fake_store import FakeSpeakerStore
from fake_trail import FakeAuditTrail

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ENDED = {"purpose": "login", "given_at": "2020-01-01T00:00:00Z", "expires_at": "2020-02-01T00:00:00Z"}


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


def until(end: datetime) -> dict[str, Any]:
    return {"expires_at": end.isoformat()}


def test_the_ended_are_in_no_gallery_and_in_the_trail() -> None:
    store, gallery, trail, clock = FakeSpeakerStore(), FakeGallery(n_embedding=64), FakeAuditTrail(), Clock()
    use_cases = fake_audio.components(store=store, gallery=gallery, trail=trail).use_cases(fake_audio.settings())
    for name in ("alice", "bob"):
        use_cases.speakers.create(ME, name, None, {}, until(NOON + timedelta(days=name == "bob")))
        use_cases.enroll(ME, name, [clip(name, speech_s=6.0)])
    expiry = Expiry(store, use_cases.sync, Auditor(trail), clock)
    assert (expiry(), expiry()) == (1, 0)
    assert gallery.size(ME) == 1
    said = trail.entries[-1]
    assert (said.action, said.outcome, said.by, said.speaker_id) == ("expire_speaker", "erased", EXPIRY, "alice")
    clock.now += timedelta(days=1)
    assert expiry() == 1
    assert gallery.size(ME) == 0


def test_many_go_in_several_transactions() -> None:
    asked: list[int] = []

    class Counting(FakeSpeakerStore):
        def erase_expired(self, now, limit):
            erased = super().erase_expired(now, limit)
            asked.append(len(erased))
            return erased

    store = Counting()
    use_cases = fake_audio.components(store=store).use_cases(fake_audio.settings())
    for n in range(N_AT_ONCE + 1):
        store.create_speaker(ME, f"s{n}", None, {}, until(NOON))
    assert Expiry(store, use_cases.sync, Auditor(FakeAuditTrail()), Clock())() == N_AT_ONCE + 1
    assert asked == [N_AT_ONCE, 1, 0]


def test_a_store_that_fails_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(FakeSpeakerStore):
        fails = True

        def erase_expired(self, now, limit):
            if self.fails:
                raise StoreError("The disk is full.")
            return super().erase_expired(now, limit)

    store = Failing()
    store.create_speaker(ME, "alice", None, {}, until(NOON))
    sync = fake_audio.components(store=store).use_cases(fake_audio.settings()).sync
    expiry = Expiry(store, sync, Auditor(FakeAuditTrail()), Clock())
    assert expiry() == 0
    assert "The disk is full." in caplog.text
    store.fails = False
    assert expiry() == 1


def test_a_start_finds_nobody_whose_consent_ended_meanwhile() -> None:
    store = FakeSpeakerStore()
    with serving(fake_audio.components(store=store)) as client:
        enroll(client, "alice", consent=ENDED)
        enroll(client, "bob")
    with serving(fake_audio.components(store=store)) as client:
        problem(client.post("/v1/speakers/alice/verify", files=audio(clip(take=9))), 404, "speaker_not_found")
        found = client.post("/v1/identify", files=audio(clip("bob", take=9))).json()["candidates"]
        assert [one["speaker_id"] for one in found] == ["bob"]


def test_a_chore_is_done_again_and_again_also_after_it_failed(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []

    async def until_done() -> None:
        enough, loop = asyncio.Event(), asyncio.get_running_loop()

        def work() -> None:
            done.append(1)
            if len(done) == 3:
                loop.call_soon_threadsafe(enough.set)
            if len(done) == 1:
                raise RuntimeError("a bug")

        chore = asyncio.create_task(every(lambda: 0.001, work))
        await asyncio.wait_for(enough.wait(), 30)
        chore.cancel()

    asyncio.run(until_done())
    assert len(done) >= 3
    assert "a bug" in caplog.text
