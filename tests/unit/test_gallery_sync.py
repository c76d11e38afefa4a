"""A gallery that follows what other processes change, and one that the store keeps by itself."""

from __future__ import annotations

from collections.abc import Iterable

from app.errors import StoreError
from app.records import DEFAULT_TENANT as ME
from app.records import ChangedReferences, ChangesMark, Reference, ReferenceBatch, SpeakerKey
from app.usecases.gallery_sync import MAX_SETTLED_SINGLY, GallerySync
from app.usecases.standing import StandingRule
from fake_gallery import FakeGallery
from fake_store import FakeSpeakerStore
from samples import ENCODER_ID, create, enroll, numbers, random_embeddings

RULE = StandingRule(ENCODER_ID, 4.0)
PROBE = random_embeddings(0, 1)[0]


class FakeChanges:
    """Tells what a test says, once."""

    def __init__(self) -> None:
        self.told: list[frozenset[SpeakerKey] | None] = []
        self.asked: list[ChangesMark] = []
        self.n_pruned = 0

    def now(self) -> ChangesMark:
        return ChangesMark(len(self.asked))

    def since(self, mark: ChangesMark) -> ChangedReferences | None:
        self.asked.append(mark)
        speakers = self.told.pop(0) if self.told else frozenset()
        return None if speakers is None else ChangedReferences(speakers, ChangesMark(100 + len(self.asked)))

    def prune(self) -> None:
        self.n_pruned += 1


class CountingGallery(FakeGallery):
    def __init__(self, is_kept: bool = False) -> None:
        super().__init__()
        self.is_kept = is_kept
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


def enrolled(store: FakeSpeakerStore, speaker_id: str, seed: int) -> SpeakerKey:
    create(store, speaker_id)
    return SpeakerKey(ME, enroll(store, speaker_id, seed).speaker.number)


def test_a_search_sees_whom_another_process_enrolled_and_erased() -> None:
    store, gallery, changes = FakeSpeakerStore(), FakeGallery(), FakeChanges()
    gone = enrolled(store, "gone", 1)
    sync = GallerySync(store, gallery, RULE, changes)
    sync.start()
    assert numbers(gallery.search(ME, PROBE, 10)) == [gone.number]
    store.erase_speaker(ME, "gone")
    come = enrolled(store, "come", 2)
    changes.told = [frozenset({gone, come})]
    sync.catch_up()
    assert numbers(gallery.search(ME, PROBE, 10)) == [come.number]
    sync.catch_up()
    assert [mark.transaction for mark in changes.asked] == [0, 101], "from the start, then from where it was told to"


def test_it_reads_everybody_where_too_much_was_missed() -> None:
    store, gallery, changes = FakeSpeakerStore(), CountingGallery(), FakeChanges()
    sync = GallerySync(store, gallery, RULE, changes)
    sync.catch_up()
    assert gallery.n_rebuilt == 1, "nobody has read anything yet"
    enrolled(store, "alice", 1)
    changes.told = [None, frozenset(SpeakerKey(ME, number) for number in range(MAX_SETTLED_SINGLY + 1))]
    for n_rebuilt in (2, 3):
        sync.catch_up()
        assert gallery.n_rebuilt == n_rebuilt
        assert gallery.size(ME) == 1


def test_a_speaker_who_cannot_be_read_holds_nobody_else_up() -> None:
    class OneUnreadable(FakeSpeakerStore):
        def find_references(self, tenant: str, numbers: Iterable[int]) -> tuple[Reference, ...]:
            if 1 in (numbers := list(numbers)):
                raise StoreError("A row is damaged.")
            return super().find_references(tenant, numbers)

    store, gallery, changes = OneUnreadable(), FakeGallery(), FakeChanges()
    damaged, sound = enrolled(store, "damaged", 1), enrolled(store, "sound", 2)
    sync = GallerySync(store, gallery, RULE, changes)
    sync.start()
    assert gallery.size(ME) == 2
    changes.told = [frozenset({damaged, sound})]
    sync.catch_up()
    assert numbers(gallery.search(ME, PROBE, 10)) == [sound.number]


def test_a_gallery_that_the_store_keeps_is_told_nothing() -> None:
    class Following(FakeSpeakerStore):
        def follow_anew(self, tenant: str, number: int) -> bool:
            return number == alice.number

    store, gallery, changes = Following(), CountingGallery(is_kept=True), FakeChanges()
    alice, bob = enrolled(store, "alice", 1), enrolled(store, "bob", 2)
    sync = GallerySync(store, gallery, RULE, changes)
    sync.start()
    sync.refresh(*alice)
    sync.forget(*alice)
    sync.catch_up()
    assert (gallery.n_rebuilt, gallery.n_changed, changes.asked) == (0, 0, [])
    assert sync.settle({alice, bob}) == 1, "but the store puts right who differs"
    assert gallery.n_changed == 0
    everybody = {SpeakerKey(ME, number) for number in range(MAX_SETTLED_SINGLY + 1)}
    assert sync.settle(everybody) == len(everybody)
    assert gallery.n_rebuilt == 1


def test_one_process_alone_asks_nobody() -> None:
    gallery = CountingGallery()
    sync = GallerySync(FakeSpeakerStore(), gallery, RULE)
    sync.catch_up()
    sync.prune()
    assert gallery.n_rebuilt == 0


def test_what_all_have_seen_is_pruned() -> None:
    changes = FakeChanges()
    GallerySync(FakeSpeakerStore(), FakeGallery(), RULE, changes).prune()
    assert changes.n_pruned == 1
