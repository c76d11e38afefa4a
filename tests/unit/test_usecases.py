"""The rules behind the routes, on fakes: standing, listening, and the gallery that follows the store."""

from __future__ import annotations

import itertools
import logging
import math
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fake_audio
from app.errors import ModelMismatch, NotEnrolled, StoreError
from app.records import DEFAULT_TENANT, Idempotency, Reference, Speaker
from app.usecases.gallery_sync import GallerySync
from app.usecases.identify import N_EXTRA_CANDIDATES
from app.usecases.listening import Listener
from app.usecases.speakers import new_speaker_id
from app.usecases.standing import StandingRule
from fake_audio import N_EMBEDDING, FakeEmbedder, clip
from fake_gallery import FakeGallery
from fake_store import FakeSpeakerStore
from model.errors import CorruptAudio, InconsistentVoice, InvalidArgument
from samples import ENCODER_ID, batch, new_enrollment, new_reference, numbers, random_embeddings

RULE = StandingRule(ENCODER_ID, 5.0)


def reference(speech_s: float, encoder_id: str = ENCODER_ID, count: int = 1) -> Reference:
    embedding = random_embeddings(0, 1)[0]
    return Reference(1, DEFAULT_TENANT, "alice", None, encoder_id, embedding, count, speech_s, None)


@pytest.mark.parametrize(
    ("voice", "status", "remaining_s"),
    [
        (reference(0.0, count=0), "empty", 5.0),
        (reference(4.999), "enrolling", 0.001),
        (reference(5.0), "enrolled", 0.0),
        (reference(50.0), "enrolled", 0.0),
        (reference(50.0, "encoder-b"), "stale", 5.0),
        (reference(1.0, "encoder-b"), "stale", 5.0),
    ],
)
def test_standing(voice: Reference, status: str, remaining_s: float) -> None:
    standing = RULE.of(voice)
    assert (standing.status, standing.remaining_speech_s) == (status, pytest.approx(remaining_s))


def test_only_the_enrolled_may_be_verified() -> None:
    store = FakeSpeakerStore()

    def enrolled(speaker_id: str, encoder_id: str, speech_s: float) -> Speaker:
        store.create_speaker(DEFAULT_TENANT, speaker_id, None, {}, None)
        clips = [new_enrollment(1, speech_s=speech_s)]
        return store.add_enrollments(DEFAULT_TENANT, speaker_id, encoder_id, clips).speaker

    RULE.require_enrolled(enrolled("enrolled", ENCODER_ID, 6.0))
    with pytest.raises(NotEnrolled, match=r"4\.00 s of enrolled speech; 5 s is needed\. Enrol 1\.00 s more"):
        RULE.require_enrolled(enrolled("enrolling", ENCODER_ID, 4.0))
    with pytest.raises(ModelMismatch, match=r"'stale' .* encoder encoder-b, and this service runs encoder encoder-a"):
        RULE.require_enrolled(enrolled("stale", "encoder-b", 6.0))


def listener(embedder: FakeEmbedder) -> Listener:
    parts = fake_audio.components(embedder=embedder)
    return Listener(parts.decoder, parts.assessor, parts.embedder, parts.work)


def test_a_listener_says_which_clip_was_bad() -> None:
    with pytest.raises(CorruptAudio, match=r"^clip 3 of 4: The file ends too early\.$"):
        listener(FakeEmbedder()).listen(fake_audio.MAGIC, "clip 3 of 4")


def test_a_listener_gives_unit_embeddings() -> None:
    class Long(FakeEmbedder):
        def embed(self, waveform):
            return np.float32(3.0) * super().embed(waveform)

    embedding = listener(Long()).listen(clip(), "audio").embedding
    assert embedding is not None
    assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-6)


def test_an_embedding_that_is_not_finite_is_a_mistake_not_a_score() -> None:
    class Broken(FakeEmbedder):
        def embed(self, waveform):
            return np.full(self.n_embedding, np.nan, dtype=np.float32)

    with pytest.raises(ValueError, match="not finite"):
        listener(Broken()).listen(clip(), "audio")


def test_enrolling_nothing_is_refused() -> None:
    use_cases = fake_audio.components().use_cases(fake_audio.settings())
    with pytest.raises(InvalidArgument, match="at least 1 is needed"):
        use_cases.enroll(DEFAULT_TENANT, "alice", [])


def test_a_repeated_enroll_mends_a_gallery_that_missed_the_first() -> None:
    gallery = FakeGallery(n_embedding=fake_audio.N_EMBEDDING)
    use_cases = fake_audio.components(gallery=gallery).use_cases(fake_audio.settings())
    use_cases.speakers.create(DEFAULT_TENANT, "alice", None, {}, None)
    key = Idempotency("k", "f")
    first = use_cases.enroll(DEFAULT_TENANT, "alice", [clip(speech_s=6.0)], key)
    gallery.remove(DEFAULT_TENANT, [first.speaker.number])
    assert use_cases.enroll(DEFAULT_TENANT, "alice", [clip(speech_s=6.0)], key) == first
    assert gallery.size(DEFAULT_TENANT) == 1


def test_the_gallery_is_rebuilt_with_those_who_can_be_identified() -> None:
    store, gallery = FakeSpeakerStore(), FakeGallery()
    for seed, (name, encoder_id, speech_s) in enumerate(
        [("enrolled", ENCODER_ID, 6.0), ("enrolling", ENCODER_ID, 4.0), ("stale", "encoder-b", 6.0), ("empty", "", 0.0)]
    ):
        store.create_speaker(DEFAULT_TENANT, name, None, {}, None)
        if speech_s:
            clips = [new_enrollment(seed, speech_s=speech_s)]
            store.add_enrollments(DEFAULT_TENANT, name, encoder_id, clips)
    gallery.upsert(new_reference(99, random_embeddings(9, 1)[0]))
    GallerySync(store, gallery, RULE).rebuild()
    found = gallery.search(DEFAULT_TENANT, random_embeddings(0, 1)[0], 10)
    assert numbers(found) == [store.get_speaker(DEFAULT_TENANT, "enrolled").number]


def test_a_rebuild_says_how_far_it_has_come(caplog: pytest.LogCaptureFixture) -> None:
    """Every look at this clock is two seconds later than the one before, and every batch of this store one speaker."""
    store, looks = FakeSpeakerStore(), itertools.count(step=2.0)
    for n in range(5):
        store.create_speaker(DEFAULT_TENANT, str(n), None, {}, None)
        store.add_enrollments(DEFAULT_TENANT, str(n), ENCODER_ID, [new_enrollment(n, speech_s=4.0 + n)])
    with caplog.at_level(logging.INFO, "app.usecases.gallery_sync"):
        GallerySync(store, FakeGallery(), RULE, clock=lambda: next(looks)).rebuild()
    assert [record.getMessage() for record in caplog.records] == [
        "gallery: reading 5 speakers",
        "gallery: 2 of 5 speakers",
        "gallery: 4 of 5 speakers",
        "gallery: 4 speakers can be identified; read in 12.0 s",
    ]


def test_a_batch_and_its_speakers_have_one_standing() -> None:
    voices = [
        reference(speech_s, encoder_id, count)
        for speech_s in (0.0, 4.999, 5.0, 50.0)
        for encoder_id in (ENCODER_ID, "encoder-b")
        for count in (0, 1, 3)
    ]
    alone = [RULE.of(voice).status == "enrolled" for voice in voices]
    assert RULE.is_enrolled(batch(voices)).tolist() == alone
    assert 0 < sum(alone) < len(alone)


def test_whoever_cannot_be_read_after_a_commit_is_not_found() -> None:
    class Unreadable(FakeSpeakerStore):
        def find_references(self, tenant, numbers):
            raise StoreError("The store is gone.")

    gallery = FakeGallery()
    gallery.upsert(new_reference(7, random_embeddings(1, 1)[0]))
    with pytest.raises(StoreError):
        GallerySync(Unreadable(), gallery, RULE).refresh(DEFAULT_TENANT, 7)
    assert gallery.size(DEFAULT_TENANT) == 0


def test_what_an_approximate_gallery_ranks_wrongly_is_put_right() -> None:
    class Approximate(FakeGallery):
        def search(self, tenant, embedding, n_candidates):
            found = super().search(tenant, embedding, n_candidates)
            assert n_candidates == 1 + N_EXTRA_CANDIDATES
            return tuple(reversed(found))

    gallery = Approximate(n_embedding=fake_audio.N_EMBEDDING)
    use_cases = fake_audio.components(gallery=gallery).use_cases(fake_audio.settings())
    for name in ("alice", "bob", "carol"):
        use_cases.speakers.create(DEFAULT_TENANT, name, None, {}, None)
        use_cases.enroll(DEFAULT_TENANT, name, [clip(name, speech_s=6.0)])
    result = use_cases.identify(DEFAULT_TENANT, clip("bob", 9), 1)
    assert [candidate.speaker_id for candidate in result.candidates] == ["bob"]
    assert (result.decision.outcome, result.n_searched) == ("accept", 3)


def test_candidates_are_ranked_by_what_their_scores_are_worth() -> None:
    """One who enrolled three long clips beats, at a lower score, one who enrolled a single short one."""

    class Alike(FakeEmbedder):
        def embed(self, waveform):
            angles = {"bob": 0.40, "carol": 0.42, "probe": 0.0}
            angle = angles[waveform.written["voice"]]
            return np.array([math.cos(angle), math.sin(angle), *[0.0] * (N_EMBEDDING - 2)], dtype=np.float32)

    use_cases = fake_audio.components(embedder=Alike()).use_cases(fake_audio.settings(enroll_min_speech_s=1.5))
    for name, clips in (("bob", [clip("bob", speech_s=1.5)]), ("carol", [clip("carol", speech_s=6.0)] * 3)):
        use_cases.speakers.create(DEFAULT_TENANT, name, None, {}, None)
        use_cases.enroll(DEFAULT_TENANT, name, clips)
    result = use_cases.identify(DEFAULT_TENANT, clip("probe"), 2, "fmr_1e-2")
    assert [candidate.speaker_id for candidate in result.candidates] == ["carol", "bob"]
    assert result.candidates[0].score < result.candidates[1].score
    assert result.threshold_score == result.candidates[0].threshold_score != result.candidates[1].threshold_score


def test_ids_that_are_made_up_never_meet() -> None:
    assert len({new_speaker_id() for _ in range(1000)}) == 1000


def test_an_erase_that_overtakes_an_enroll_is_not_undone() -> None:
    has_removed = threading.Event()

    class Slow(FakeGallery):
        """Writes what it was given only after whoever can overtake it has."""

        def upsert(self, reference: Reference) -> None:
            erasing.submit(use_cases.erase.speaker, DEFAULT_TENANT, "alice")
            has_removed.wait(timeout=0.5)
            super().upsert(reference)

        def remove(self, tenant: str, numbers: Iterable[int]) -> None:
            super().remove(tenant, numbers)
            has_removed.set()

    gallery = Slow(n_embedding=fake_audio.N_EMBEDDING)
    use_cases = fake_audio.components(gallery=gallery).use_cases(fake_audio.settings())
    use_cases.speakers.create(DEFAULT_TENANT, "alice", None, {}, None)
    with ThreadPoolExecutor(1) as erasing:
        use_cases.enroll(DEFAULT_TENANT, "alice", [clip(speech_s=6.0)])
    assert has_removed.is_set()
    assert gallery.size(DEFAULT_TENANT) == 0


def test_whoever_is_made_anew_under_an_erased_id_has_another_number() -> None:
    """A change that was meant for the erased one, and comes late, does not touch the new one."""
    gallery, store = FakeGallery(n_embedding=fake_audio.N_EMBEDDING), FakeSpeakerStore()
    use_cases = fake_audio.components(store=store, gallery=gallery).use_cases(fake_audio.settings())
    erased = use_cases.speakers.create(DEFAULT_TENANT, "alice", None, {}, None)
    use_cases.enroll(DEFAULT_TENANT, "alice", [clip(speech_s=6.0)])
    use_cases.erase.speaker(DEFAULT_TENANT, "alice")
    made_anew = use_cases.speakers.create(DEFAULT_TENANT, "alice", None, {}, None)
    use_cases.enroll(DEFAULT_TENANT, "alice", [clip("somebody else", speech_s=6.0)])
    use_cases.sync.refresh(DEFAULT_TENANT, erased.number)
    found = gallery.search(DEFAULT_TENANT, fake_audio.FakeEmbedder().embed(fake_audio.FakeDecoder().decode(clip())), 10)
    assert numbers(found) == [made_anew.number]
    assert made_anew.number != erased.number


def test_two_voices_that_enrol_one_speaker_at_once_are_not_both_let_in() -> None:
    both_heard = threading.Barrier(2, timeout=30)

    class Waiting(FakeSpeakerStore):
        def add_enrollments(self, *arguments, **options):
            both_heard.wait()
            return super().add_enrollments(*arguments, **options)

    store = Waiting()
    use_cases = fake_audio.components(store=store).use_cases(fake_audio.settings())
    use_cases.speakers.create(DEFAULT_TENANT, "alice", None, {}, None)

    def enroll(voice: str) -> bool:
        try:
            use_cases.enroll(DEFAULT_TENANT, "alice", [clip(voice)])
        except InconsistentVoice:
            return False
        return True

    with ThreadPoolExecutor(2) as callers:
        assert sorted(callers.map(enroll, ["alice", "mallory"])) == [False, True]
    assert store.get_speaker(DEFAULT_TENANT, "alice").enrollment_count == 1
