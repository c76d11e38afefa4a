"""Enrollments in every SpeakerStore, and the reference that they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.errors import EnrollmentNotFound, ModelMismatch
from app.ports import SpeakerStore
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency, Reference, StandingBatch
from model.errors import InconsistentVoice, InvalidArgument
from model.scoring import reference
from samples import ENCODER_ID, create, enroll, new_enrollment, speaker_ids

OTHER = "another tenant"


def test_enrollments_add_up(store: SpeakerStore) -> None:
    create(store, "alice")
    clips = [new_enrollment(1, speech_s=3.0), new_enrollment(2, speech_s=2.5)]
    done = store.add_enrollments(ME, "alice", ENCODER_ID, clips)
    later = enroll(store, "alice", 3)

    assert [enrollment.quality for enrollment in done.enrollments] == [clip.quality for clip in clips]
    assert [enrollment.source for enrollment in done.enrollments] == [clip.source for clip in clips]
    assert {enrollment.encoder_id for enrollment in done.enrollments} == {ENCODER_ID}
    assert {enrollment.speaker_id for enrollment in done.enrollments} == {"alice"}
    assert all(enrollment.created_at.tzinfo is UTC for enrollment in done.enrollments)
    assert (done.speaker.enrollment_count, done.speaker.speech_s) == (2, 5.5)
    assert done.speaker.encoder_id == ENCODER_ID
    assert done.speaker.updated_at > done.speaker.created_at

    assert store.list_enrollments(ME, "alice") == (*done.enrollments, *later.enrollments)
    assert store.get_speaker(ME, "alice") == later.speaker
    assert (later.speaker.enrollment_count, later.speaker.speech_s) == (3, 9.5)
    assert store.list_speakers(ME, 1, None).speakers == (later.speaker,)


def test_what_was_not_measured_stays_unmeasured(store: SpeakerStore) -> None:
    create(store, "alice")
    clip = new_enrollment(1)
    store.add_enrollments(ME, "alice", ENCODER_ID, [replace(clip, quality=replace(clip.quality, snr_db=None))])
    assert store.list_enrollments(ME, "alice")[0].quality.snr_db is None


def test_a_references_noise_is_that_of_the_clips_that_have_one(store: SpeakerStore) -> None:
    store.create_speaker(ME, "alice", None, {}, None)
    clip = new_enrollment(1)
    for snr_db, expected in ((None, None), (10.0, 10.0), (25.0, 17.5)):
        store.add_enrollments(ME, "alice", ENCODER_ID, [replace(clip, quality=replace(clip.quality, snr_db=snr_db))])
        found = store.find_reference(ME, "alice")
        assert found is not None
        assert found.snr_db == (expected if expected is None else pytest.approx(expected))


def test_the_reference_is_that_of_all_enrollments(store: SpeakerStore) -> None:
    store.create_speaker(ME, "alice", "Alice", {}, None)
    assert store.find_reference(ME, "alice") is None
    done = enroll(store, "alice", 1, 2, 3)

    found = store.find_reference(ME, "alice")
    assert found is not None
    expected = reference(np.stack([new_enrollment(seed).embedding for seed in (1, 2, 3)]))
    np.testing.assert_array_equal(found.embedding, expected)
    assert found.embedding.dtype == np.float32
    assert (found.tenant, found.speaker_id, found.display_name) == (ME, "alice", "Alice")
    assert (found.encoder_id, found.enrollment_count, found.speech_s) == (ENCODER_ID, 3, 12.0)

    store.remove_enrollment(ME, "alice", done.enrollments[1].enrollment_id)
    found = store.find_reference(ME, "alice")
    assert found is not None
    expected = reference(np.stack([new_enrollment(seed).embedding for seed in (1, 3)]))
    np.testing.assert_array_equal(found.embedding, expected)


def test_taking_the_last_enrollment_back_empties_the_speaker(store: SpeakerStore) -> None:
    create(store, "alice", "bob")
    done = enroll(store, "alice", 1)
    of_bob = enroll(store, "bob", 2).enrollments[0].enrollment_id
    for missing in ("nothing", of_bob):
        with pytest.raises(EnrollmentNotFound, match="'alice' has no enrollment"):
            store.remove_enrollment(ME, "alice", missing)
    assert store.get_speaker(ME, "alice") == done.speaker

    store.remove_enrollment(ME, "alice", done.enrollments[0].enrollment_id)
    left = store.get_speaker(ME, "alice")
    assert (left.enrollment_count, left.speech_s, left.encoder_id) == (0, 0.0, None)
    assert left.updated_at > done.speaker.updated_at
    assert store.list_enrollments(ME, "alice") == ()
    assert store.find_reference(ME, "alice") is None
    # With nothing left to compare, another encoder may start over.
    store.add_enrollments(ME, "alice", "encoder-b", [new_enrollment(5)])
    assert store.get_speaker(ME, "alice").encoder_id == "encoder-b"


def test_two_encoders_do_not_share_a_speaker(store: SpeakerStore) -> None:
    create(store, "alice")
    done = enroll(store, "alice", 1)
    with pytest.raises(ModelMismatch, match="'alice' is enrolled with"):
        store.add_enrollments(ME, "alice", "encoder-b", [new_enrollment(2)])
    assert store.get_speaker(ME, "alice") == done.speaker


@pytest.mark.parametrize(
    "broken",
    [
        new_enrollment(1).embedding.astype(np.float64),
        new_enrollment(1).embedding[:8],
        new_enrollment(1).embedding[np.newaxis],
        np.zeros(16, np.float32),
        np.full(16, np.nan, np.float32),
    ],
    ids=["float64", "short", "two axes", "zero", "NaN"],
)
def test_clips_of_one_call_are_all_enrolled_or_none(store: SpeakerStore, broken: NDArray[Any]) -> None:
    create(store, "alice")
    key = Idempotency("key", "print")
    before = enroll(store, "alice", 7)
    with pytest.raises(ValueError, match=r"embedding|shape"):
        store.add_enrollments(
            ME, "alice", ENCODER_ID, [new_enrollment(1), replace(new_enrollment(2), embedding=broken)], key
        )
    assert store.list_enrollments(ME, "alice") == before.enrollments
    assert store.get_speaker(ME, "alice") == before.speaker
    assert store.replayed_enrollments(ME, "alice", key) is None


def test_an_encoder_keeps_its_size(store: SpeakerStore) -> None:
    create(store, "alice")
    before = enroll(store, "alice", 7)
    with pytest.raises(ValueError, match=r"embedding|shape"):
        store.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(1, n_embedding=8)])
    assert store.list_enrollments(ME, "alice") == before.enrollments


def test_enrolling_needs_a_clip(store: SpeakerStore) -> None:
    create(store, "alice")
    with pytest.raises(InvalidArgument, match="at least one clip"):
        store.add_enrollments(ME, "alice", ENCODER_ID, [])


def test_references_are_of_everybody_with_an_enrollment(store: SpeakerStore) -> None:
    create(store, "alice", "bob", "nobody yet")
    create(store, "alice", tenant=OTHER)
    enroll(store, "alice", 1, 2)
    store.add_enrollments(ME, "bob", "encoder-b", [new_enrollment(3)])
    enroll(store, "alice", 4, tenant=OTHER)

    n_found = 0
    for batch in store.references():
        assert batch.embeddings.dtype == np.float32
        for n, (tenant, number) in enumerate(zip(batch.tenants, batch.numbers.tolist(), strict=True)):
            (alone,) = store.find_references(tenant, [number])
            np.testing.assert_allclose(batch.embeddings[n], alone.embedding, atol=1e-6)
            assert (batch.encoder_ids[n], batch.enrollment_counts[n]) == (alone.encoder_id, alone.enrollment_count)
            assert batch.speech_s[n] == pytest.approx(alone.speech_s)
            n_found += 1
    assert n_found == 3
    assert set(speaker_ids(store, store.references())) == {(ME, "alice"), (ME, "bob"), (OTHER, "alice")}
    assert store.count_speakers() == 4


def test_standings_are_what_the_references_say(store: SpeakerStore) -> None:
    create(store, "alice", "bob", "nobody yet")
    create(store, "alice", tenant=OTHER)
    enroll(store, "alice", 1, 2)
    store.add_enrollments(ME, "bob", "encoder-b", [new_enrollment(3, n_embedding=24)])
    enroll(store, "alice", 4, tenant=OTHER)

    def rows(batches: Iterable[StandingBatch]) -> list[tuple[str, int, str, int, float]]:
        return sorted(
            row
            for one in batches
            for row in zip(
                one.tenants,
                one.numbers.tolist(),
                one.encoder_ids,
                one.enrollment_counts.tolist(),
                one.speech_s.tolist(),
                strict=True,
            )
        )

    found = rows(store.standings())
    assert [row[:4] for row in found] == [row[:4] for row in rows(store.references())]
    assert [row[4] for row in found] == pytest.approx([row[4] for row in rows(store.references())])
    assert len(found) == 3
    for tenant, name in ((ME, "alice"), (ME, "bob"), (OTHER, "alice")):
        store.erase_speaker(tenant, name)
    assert rows(store.standings()) == []


def test_references_are_found_by_number_within_a_tenant(store: SpeakerStore) -> None:
    create(store, "alice", "bob", "nobody yet")
    create(store, "alice", tenant=OTHER)
    for name, seeds in (("alice", (1, 2)), ("bob", (3,))):
        enroll(store, name, *seeds)
    enroll(store, "alice", 4, tenant=OTHER)
    alice, bob, empty = (store.get_speaker(ME, name).number for name in ("alice", "bob", "nobody yet"))
    theirs = store.get_speaker(OTHER, "alice").number
    assert len({alice, bob, empty, theirs}) == 4

    found = {one.number: one for one in store.find_references(ME, [bob, theirs, empty, alice, 10**15])}
    assert {number: one.speaker_id for number, one in found.items()} == {alice: "alice", bob: "bob"}
    by_id = store.find_reference(ME, "alice")
    assert by_id is not None
    np.testing.assert_array_equal(found[alice].embedding, by_id.embedding)
    assert replace(found[alice], embedding=by_id.embedding) == by_id
    assert store.find_references(ME, []) == ()


def test_a_number_is_never_used_twice(store: SpeakerStore) -> None:
    create(store, "alice")
    done = enroll(store, "alice", 1)
    number = done.speaker.number
    assert store.remove_enrollment(ME, "alice", done.enrollments[0].enrollment_id) == number
    assert store.erase_speaker(ME, "alice") == number
    create(store, "alice")
    assert store.get_speaker(ME, "alice").number > number
    assert store.find_references(ME, [number]) == ()


def test_the_store_may_change_while_references_are_read(store: SpeakerStore) -> None:
    create(store, "alice", "bob")
    enroll(store, "alice", 1)
    enroll(store, "bob", 2)
    reading = store.references()
    number = store.get_speaker(ME, "alice").number
    assert number in next(reading).numbers
    store.erase_speaker(ME, "alice")
    assert all(number not in batch.numbers for batch in reading)
    assert speaker_ids(store, store.references()) == [(ME, "bob")]


def test_whoever_admits_sees_what_is_there_when_the_clips_are_added(store: SpeakerStore) -> None:
    create(store, "alice")
    seen: list[int] = []

    def admit(stored: Reference | None) -> None:
        seen.append(0 if stored is None else stored.enrollment_count)

    for seed in (1, 2):
        store.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(seed)], admit=admit)
    assert seen == [0, 1]

    def refuse(stored: Reference | None) -> None:
        raise InconsistentVoice("another voice")

    with pytest.raises(InconsistentVoice):
        store.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(3)], Idempotency("key", "print"), refuse)
    assert store.get_speaker(ME, "alice").enrollment_count == 2
    assert store.replayed_enrollments(ME, "alice", Idempotency("key", "print")) is None
