"""The gallery is held to the store: who differs twice is put right, and what cannot be is no reason to stop."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator

import pytest

from app.errors import StoreError
from app.records import DEFAULT_TENANT as ME
from app.records import Reference, ReferenceBatch, StandingBatch
from app.usecases.agreement import LOOK_AGAIN_S, LOOK_EVERY_S, Agreement
from app.usecases.chores import every
from app.usecases.gallery_sync import MAX_SETTLED_SINGLY, GallerySync
from app.usecases.standing import StandingRule
from fake_gallery import FakeGallery
from fake_store import FakeSpeakerStore
from samples import ENCODER_ID, create, enroll, new_enrollment, new_reference, random_embeddings

RULE = StandingRule(ENCODER_ID, 4.0)
OTHER = "another tenant"


class FailingStore(FakeSpeakerStore):
    """Cannot read the references of `damaged`; nothing at all once it was passed over `n_passes` times more."""

    def __init__(self) -> None:
        super().__init__()
        self.damaged: set[int] = set()
        self.n_passes = math.inf

    def standings(self) -> Iterator[StandingBatch]:
        if not self.n_passes:
            raise StoreError("The store is gone.")
        self.n_passes -= 1
        yield from super().standings()

    def find_references(self, tenant: str, numbers: Iterable[int]) -> tuple[Reference, ...]:
        wanted = set(numbers)
        if not self.n_passes or wanted & self.damaged:
            raise StoreError("The enrollments give no reference.")
        return super().find_references(tenant, wanted)


class CountingGallery(FakeGallery):
    def __init__(self) -> None:
        super().__init__()
        self.n_rebuilt = 0
        self.n_changed = 0

    def rebuild(self, batches: Iterable[ReferenceBatch]) -> None:
        self.n_rebuilt += 1
        super().rebuild(batches)

    def upsert(self, reference: Reference) -> None:
        self.n_changed += 1
        super().upsert(reference)

    def remove(self, tenant: str, numbers: Iterable[int]) -> None:
        self.n_changed += 1
        super().remove(tenant, numbers)


class World:
    """Alice and Bob can be identified; Carol has too little speech, and Dave another encoder's enrollment."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.store, self.gallery = FailingStore(), CountingGallery()
        sync = GallerySync(self.store, self.gallery, RULE)
        self.agreement = Agreement(self.store, self.gallery, RULE, sync, clock)
        create(self.store, "alice", "carol", "dave")
        create(self.store, "bob", tenant=OTHER)
        self.alice = enroll(self.store, "alice", 1).speaker.number
        self.bob = enroll(self.store, "bob", 2, tenant=OTHER).speaker.number
        self.store.add_enrollments(ME, "carol", ENCODER_ID, [new_enrollment(3, speech_s=1.0)])
        self.store.add_enrollments(ME, "dave", "encoder-b", [new_enrollment(4)])
        sync.rebuild()
        self.gallery.n_rebuilt = 0

    def held(self) -> dict[str, list[int]]:
        return {tenant: sorted(numbers.tolist()) for tenant, numbers in self.gallery.numbers().items()}

    def everybody(self) -> dict[str, list[int]]:
        return {ME: [self.alice], OTHER: [self.bob]}


def test_where_they_agree_nothing_is_changed_or_said(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    caplog.clear()
    for _ in range(3):
        world.agreement.look()
        assert world.agreement.look_again_in_s == LOOK_EVERY_S
    assert world.held() == world.everybody()
    assert (world.gallery.n_changed, world.gallery.n_rebuilt, world.agreement.n_differing) == (0, 0, 0)
    assert world.agreement.n_stale == 1
    assert not caplog.records


def test_whoever_is_missing_or_too_many_twice_is_put_right(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.gallery.remove(ME, [world.alice])
    world.gallery.upsert(new_reference(77, random_embeddings(9, 1)[0], tenant=OTHER))
    world.gallery.n_changed = 0
    caplog.set_level(logging.INFO)
    world.agreement.look()
    assert (world.gallery.n_changed, world.agreement.look_again_in_s) == (0, LOOK_AGAIN_S)
    world.agreement.look()
    assert world.held() == world.everybody()
    assert world.gallery.n_rebuilt == 0, "two speakers are set one by one"
    assert (world.agreement.n_differing, world.agreement.look_again_in_s) == (0, LOOK_EVERY_S)
    assert "speakers who are not as the store has them: 2" in caplog.text
    assert "it is as the store has it again" in caplog.text


def test_a_change_in_flight_is_none(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    create(world.store, "erin")
    number = enroll(world.store, "erin", 5).speaker.number  # committed, and the gallery not yet told
    world.agreement.look()
    reference = world.store.find_reference(ME, "erin")
    assert reference is not None
    world.gallery.upsert(reference)
    world.gallery.n_changed = 0
    world.agreement.look()
    assert world.held()[ME] == [world.alice, number]
    assert (world.gallery.n_changed, world.agreement.look_again_in_s) == (0, LOOK_EVERY_S)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_whoever_differs_for_the_first_time_is_looked_at_again_before_he_is_put_right() -> None:
    world = World()
    world.gallery.remove(ME, [world.alice])
    world.agreement.look()
    world.gallery.remove(OTHER, [world.bob])
    world.agreement.look()
    assert world.held() == {ME: [world.alice]}
    assert world.agreement.look_again_in_s == LOOK_AGAIN_S
    world.agreement.look()
    assert world.held() == world.everybody()


def test_whose_rows_cannot_be_read_is_left_out_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.store.damaged.add(world.alice)
    world.gallery.remove(ME, [world.alice])
    for _ in range(2):
        world.agreement.look()
    assert world.agreement.n_differing == 0, "a damaged row is no reason to refuse everybody else"
    assert "until they enrol again: 1" in caplog.text
    caplog.clear()
    world.gallery.n_changed = 0
    for _ in range(3):
        world.agreement.look()
    assert (world.gallery.n_changed, world.agreement.look_again_in_s) == (0, LOOK_EVERY_S)
    assert not caplog.records


def test_who_was_left_out_and_then_agreed_is_news_if_he_differs_again() -> None:
    world = World()
    world.store.damaged.add(world.alice)
    world.gallery.remove(ME, [world.alice])
    for _ in range(2):
        world.agreement.look()
    world.store.damaged.clear()
    (reference,) = world.store.find_references(ME, [world.alice])
    world.gallery.upsert(reference)
    world.agreement.look()
    world.gallery.remove(ME, [world.alice])
    for _ in range(2):
        world.agreement.look()
    assert world.held() == world.everybody()


def test_a_store_that_fails_while_they_are_put_right_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.gallery.remove(ME, [world.alice])
    world.agreement.look()
    world.store.n_passes = 1  # the look itself can read, and what follows cannot
    world.agreement.look()
    assert world.agreement.n_differing == 1
    assert "could not be compared with the store" in caplog.text
    world.agreement.look()
    assert (world.agreement.n_differing, world.agreement.look_again_in_s) == (1, LOOK_AGAIN_S)
    world.store.n_passes = math.inf
    world.agreement.look()
    assert world.agreement.n_differing == 0
    assert world.held() == world.everybody()


def test_many_are_put_right_by_one_rebuild() -> None:
    world = World()
    n = MAX_SETTLED_SINGLY + 1
    names = [f"speaker-{i}" for i in range(n)]
    create(world.store, *names)
    for i, name in enumerate(names):
        enroll(world.store, name, i)
    for _ in range(2):
        world.agreement.look()
    assert world.gallery.n_rebuilt == 1
    assert world.gallery.n_changed == 0
    assert world.gallery.size(ME) == n + 1


def test_in_the_background_it_is_looked_at_again_whatever_a_look_raised(caplog: pytest.LogCaptureFixture) -> None:
    class Mistaken:
        """Fails at its first look, and is content at the second."""

        look_again_in_s = 0.0

        def __init__(self) -> None:
            self.n_looks = 0
            self.has_looked_again = threading.Event()

        def look(self) -> None:
            self.n_looks += 1
            if self.n_looks == 1:
                raise RuntimeError("a mistake of ours")
            self.has_looked_again.set()

    async def watch() -> bool:
        agreement = Mistaken()
        watching = asyncio.create_task(every(lambda: agreement.look_again_in_s, agreement.look))
        has_looked_again = await asyncio.to_thread(agreement.has_looked_again.wait, 20)
        watching.cancel()
        return has_looked_again

    assert asyncio.run(watch())
    assert "a mistake of ours" in caplog.text


def test_a_store_that_takes_long_is_looked_at_less_often() -> None:
    world = World(clock=itertools.count(0.0, 30.0).__next__)  # each look takes 30 s
    world.agreement.look()
    assert world.agreement.look_again_in_s == pytest.approx(3000.0)
