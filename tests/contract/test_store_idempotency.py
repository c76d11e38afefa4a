"""Repeated and simultaneous requests, in every SpeakerStore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.errors import IdempotencyConflict, ModelMismatch, SpeakerExists, SpeakerNotFound
from app.ports import SpeakerStore
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency, Speaker, SpeakerChanges
from contention import at_once
from samples import ENCODER_ID, create, enroll, new_enrollment

KEY = Idempotency("key", "print")
SAME_KEY_ANOTHER_REQUEST = Idempotency("key", "another print")


def test_a_repeated_create_makes_nothing_new(store: SpeakerStore) -> None:
    made = store.create_speaker(ME, "drawn at random", "Alice", {}, None, KEY)
    # The caller named no id, so the second call brings another one.
    again = store.create_speaker(ME, "drawn once more", "Alice", {}, None, KEY)
    assert again == made
    assert len(store.list_speakers(ME, 10, None).speakers) == 1

    store.update_speaker(ME, made.speaker_id, SpeakerChanges(frozenset({"display_name"}), display_name="Al"))
    assert store.create_speaker(ME, "x", "Alice", {}, None, KEY) == store.get_speaker(ME, made.speaker_id)


def test_a_repeated_enrolling_enrols_nothing_new(store: SpeakerStore) -> None:
    create(store, "alice")
    assert store.replayed_enrollments(ME, "alice", KEY) is None
    clips = [new_enrollment(1), new_enrollment(2)]
    done = store.add_enrollments(ME, "alice", ENCODER_ID, clips, KEY)

    assert store.add_enrollments(ME, "alice", ENCODER_ID, clips, KEY) == done
    assert store.replayed_enrollments(ME, "alice", KEY) == done
    assert store.list_enrollments(ME, "alice") == done.enrollments


def test_a_repetition_does_not_bring_back_what_was_taken_back(store: SpeakerStore) -> None:
    create(store, "alice")
    clips = [new_enrollment(1), new_enrollment(2)]
    first, second = store.add_enrollments(ME, "alice", ENCODER_ID, clips, KEY).enrollments
    store.remove_enrollment(ME, "alice", first.enrollment_id)
    again = store.add_enrollments(ME, "alice", ENCODER_ID, clips, KEY)
    assert again.enrollments == (second,)
    assert again.speaker.enrollment_count == 1


def test_a_key_stands_for_one_request(store: SpeakerStore) -> None:
    create(store, "alice", "bob")
    done = store.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(1)], KEY)
    made = store.create_speaker(ME, "carol", None, {}, None, replace(KEY, key="key of a create"))
    other_clips = [new_enrollment(2)]
    calls: list[Callable[[], object]] = [
        lambda: store.add_enrollments(ME, "alice", ENCODER_ID, other_clips, SAME_KEY_ANOTHER_REQUEST),
        lambda: store.replayed_enrollments(ME, "alice", SAME_KEY_ANOTHER_REQUEST),
        lambda: store.create_speaker(ME, "dave", None, {}, None, SAME_KEY_ANOTHER_REQUEST),
        # Even with an equal fingerprint: another speaker, another kind of request.
        lambda: store.add_enrollments(ME, "bob", ENCODER_ID, other_clips, KEY),
        lambda: store.create_speaker(ME, "dave", None, {}, None, KEY),
        lambda: store.add_enrollments(ME, "carol", ENCODER_ID, other_clips, replace(KEY, key="key of a create")),
    ]
    for call in calls:
        with pytest.raises(IdempotencyConflict):
            call()
    assert store.list_enrollments(ME, "alice") == done.enrollments
    assert store.list_enrollments(ME, "bob") == ()
    assert store.get_speaker(ME, "carol") == made
    with pytest.raises(SpeakerNotFound):
        store.get_speaker(ME, "dave")


def test_a_key_belongs_to_a_tenant(store: SpeakerStore) -> None:
    mine = store.create_speaker(ME, "alice", None, {}, None, KEY)
    theirs = store.create_speaker("another tenant", "bob", None, {}, None, SAME_KEY_ANOTHER_REQUEST)
    assert (mine.speaker_id, theirs.speaker_id) == ("alice", "bob")


def test_a_refused_request_leaves_its_key_free(store: SpeakerStore) -> None:
    create(store, "alice")
    enroll(store, "alice", 1)
    with pytest.raises(ModelMismatch):
        store.add_enrollments(ME, "alice", "encoder-b", [new_enrollment(2)], KEY)
    with pytest.raises(SpeakerExists):
        store.create_speaker(ME, "alice", None, {}, None, KEY)
    assert store.create_speaker(ME, "bob", None, {}, None, SAME_KEY_ANOTHER_REQUEST).speaker_id == "bob"


def test_an_erased_speaker_takes_its_keys_along(store: SpeakerStore) -> None:
    create_key = replace(KEY, key="key of a create")
    store.create_speaker(ME, "alice", None, {}, None, create_key)
    store.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(1)], KEY)
    store.erase_speaker(ME, "alice")

    anew = store.create_speaker(ME, "alice", None, {}, None, create_key)
    assert anew.enrollment_count == 0
    assert store.replayed_enrollments(ME, "alice", SAME_KEY_ANOTHER_REQUEST) is None


# At once


def test_of_simultaneous_creates_one_wins(store: SpeakerStore) -> None:
    for n in range(3):
        speaker_id = f"speaker {n}"
        results = at_once(
            *(lambda name=name, id_=speaker_id: store.create_speaker(ME, id_, name, {}, None) for name in "abcd")
        )
        winners = [result for result in results if isinstance(result, Speaker)]
        assert sum(isinstance(result, SpeakerExists) for result in results) == 3
        assert winners == [store.get_speaker(ME, speaker_id)]


def test_a_simultaneous_repetition_is_done_once(store: SpeakerStore) -> None:
    create(store, "alice")
    results = at_once(*[lambda: store.add_enrollments(ME, "alice", ENCODER_ID, [new_enrollment(1)], KEY)] * 4)
    assert len(store.list_enrollments(ME, "alice")) == 1
    assert results == [store.replayed_enrollments(ME, "alice", KEY)] * 4


def test_simultaneous_encoders_do_not_mix(store: SpeakerStore) -> None:
    for n in range(3):
        speaker_id = f"speaker {n}"
        create(store, speaker_id)
        results = at_once(
            *(
                lambda encoder_id=encoder_id, id_=speaker_id: store.add_enrollments(
                    ME, id_, encoder_id, [new_enrollment(1), new_enrollment(2)]
                )
                for encoder_id in ("encoder-a", "encoder-b", "encoder-a", "encoder-b")
            )
        )
        assert sum(isinstance(result, ModelMismatch) for result in results) == 2
        enrolled = store.list_enrollments(ME, speaker_id)
        assert len(enrolled) == 4
        assert len({enrollment.encoder_id for enrollment in enrolled}) == 1


def test_threads_that_do_everything_leave_a_store_that_adds_up(store: SpeakerStore) -> None:
    n_threads, n_rounds = 4, 6

    def work(thread: int) -> None:
        mine = f"speaker {thread}"
        create(store, mine)
        for n in range(n_rounds):
            enroll(store, "shared", thread, n)
            done = enroll(store, mine, n)
            assert store.get_speaker(ME, mine) == done.speaker
            assert any(speaker.speaker_id == mine for speaker in store.list_speakers(ME, 100, None).speakers)
            number = done.speaker.number
            assert any(number in batch.numbers for batch in store.references())
            if n % 3 == 0:
                store.remove_enrollment(ME, mine, done.enrollments[0].enrollment_id)
        if thread % 2:
            store.erase_speaker(ME, mine)

    create(store, "shared")
    results = at_once(*(lambda thread=thread: work(thread) for thread in range(n_threads)))
    assert results == [None] * n_threads

    left = {speaker.speaker_id: speaker for speaker in store.list_speakers(ME, 100, None).speakers}
    assert set(left) == {"shared", "speaker 0", "speaker 2"}
    assert left["shared"].enrollment_count == 2 * n_threads * n_rounds
    assert left["speaker 0"].enrollment_count == n_rounds - n_rounds // 3
    assert len(store.list_enrollments(ME, "shared")) == left["shared"].enrollment_count
