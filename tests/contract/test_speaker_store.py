"""Speakers in every SpeakerStore: made, listed, changed, erased, and never shown to another tenant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC

import numpy as np
import pytest

from app.errors import EnrollmentNotFound, SpeakerExists, SpeakerNotFound
from app.ports import SpeakerStore
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency, SpeakerChanges
from model.errors import InvalidArgument
from model.scoring import reference
from samples import create, enroll, new_enrollment, speaker_ids

OTHER = "another tenant"


def test_a_new_speaker_comes_back_as_it_was_made(store: SpeakerStore) -> None:
    metadata = {"team": "Köln", "nested": {"numbers": [1, 2.5, None, True]}}
    made = store.create_speaker(ME, "alice", "Alice Ångström 🎤", metadata, {"given": "2026-01-01"})

    assert made == store.get_speaker(ME, "alice")
    assert (made.tenant, made.speaker_id, made.display_name) == (ME, "alice", "Alice Ångström 🎤")
    assert made.metadata == metadata
    assert made.consent == {"given": "2026-01-01"}
    assert (made.enrollment_count, made.speech_s, made.encoder_id) == (0, 0.0, None)
    assert made.created_at == made.updated_at
    assert made.created_at.tzinfo is UTC


def test_an_id_is_given_once(store: SpeakerStore) -> None:
    store.create_speaker(ME, "alice", "the first", {}, None)
    with pytest.raises(SpeakerExists, match="'alice' already exists"):
        store.create_speaker(ME, "alice", "the second", {}, None)
    assert store.get_speaker(ME, "alice").display_name == "the first"


def test_unknown_speakers_are_named(store: SpeakerStore) -> None:
    create(store, "alice")
    key = Idempotency("key", "print")
    changes = SpeakerChanges(frozenset({"display_name"}), display_name="x")
    calls: list[Callable[[], object]] = [
        lambda: store.get_speaker(ME, "bob"),
        lambda: store.update_speaker(ME, "bob", changes),
        lambda: store.update_speaker(ME, "bob", SpeakerChanges(frozenset())),
        lambda: store.erase_speaker(ME, "bob"),
        lambda: enroll(store, "bob", 1),
        lambda: store.replayed_enrollments(ME, "bob", key),
        lambda: store.list_enrollments(ME, "bob"),
        lambda: store.remove_enrollment(ME, "bob", "e"),
    ]
    for call in calls:
        with pytest.raises(SpeakerNotFound, match="no speaker 'bob'"):
            call()
    assert store.find_reference(ME, "bob") is None


def test_a_change_touches_the_named_fields_only(store: SpeakerStore) -> None:
    made = store.create_speaker(ME, "alice", "Alice", {"a": 1}, {"given": True})

    renamed = store.update_speaker(
        ME, "alice", SpeakerChanges(frozenset({"display_name"}), display_name="Alicia", metadata={"ignored": True})
    )
    assert (renamed.display_name, renamed.metadata, renamed.consent) == ("Alicia", {"a": 1}, {"given": True})
    assert renamed.created_at == made.created_at
    assert renamed.updated_at > made.updated_at

    emptied = store.update_speaker(ME, "alice", SpeakerChanges(frozenset({"display_name", "metadata", "consent"})))
    assert (emptied.display_name, emptied.metadata, emptied.consent) == (None, {}, None)
    assert emptied == store.get_speaker(ME, "alice")


def test_no_change_is_no_update(store: SpeakerStore) -> None:
    made = store.create_speaker(ME, "alice", "Alice", {}, None)
    assert store.update_speaker(ME, "alice", SpeakerChanges(frozenset())) == made


@pytest.mark.parametrize(
    ("display_name", "metadata"), [("half a pair: \ud83c", {}), (None, {"x": float("nan")}), (None, {"x": object()})]
)
def test_what_cannot_be_stored_is_refused(
    store: SpeakerStore, display_name: str | None, metadata: dict[str, object]
) -> None:
    with pytest.raises(InvalidArgument):
        store.create_speaker(ME, "alice", display_name, metadata, None)
    with pytest.raises(SpeakerNotFound):
        store.get_speaker(ME, "alice")
    made = store.create_speaker(ME, "bob", None, {}, {"given": True})
    changes = SpeakerChanges(
        frozenset({"display_name", "metadata", "consent"}), display_name=display_name, metadata={}, consent=metadata
    )
    with pytest.raises(InvalidArgument):
        store.update_speaker(ME, "bob", changes)
    assert store.get_speaker(ME, "bob") == made


def test_pages_are_in_order_of_creation_and_complete(store: SpeakerStore) -> None:
    names = [f"speaker {n}" for n in (5, 3, 9, 1, 7)]
    create(store, *names)
    create(store, "of somebody else", tenant=OTHER)

    seen: list[str] = []
    sizes: list[int] = []
    cursor = None
    while True:
        page = store.list_speakers(ME, 2, cursor)
        seen += [speaker.speaker_id for speaker in page.speakers]
        sizes.append(len(page.speakers))
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == names
    assert sizes == [2, 2, 1]
    assert store.list_speakers(ME, 5, None).next_cursor is None
    assert store.list_speakers("nobody", 5, None).speakers == ()


def test_pages_are_stable_while_speakers_come_and_go(store: SpeakerStore) -> None:
    create(store, "a", "b", "c", "d", "e")
    first = store.list_speakers(ME, 2, None)
    # Both sides of the cursor change, the row it stands on and the newest one among them.
    for speaker_id in ("a", "b", "d", "e"):
        store.erase_speaker(ME, speaker_id)
    create(store, "f", "a")
    second = store.list_speakers(ME, 2, first.next_cursor)
    third = store.list_speakers(ME, 2, second.next_cursor)

    assert [speaker.speaker_id for speaker in second.speakers] == ["c", "f"]
    assert [speaker.speaker_id for speaker in third.speakers] == ["a"]
    assert third.next_cursor is None


def test_a_new_speaker_is_never_taken_for_an_erased_one(store: SpeakerStore) -> None:
    create(store, "a", "b", "c")
    first = store.list_speakers(ME, 2, None)
    store.erase_speaker(ME, "b")
    store.erase_speaker(ME, "c")
    create(store, "d")
    assert [speaker.speaker_id for speaker in store.list_speakers(ME, 2, first.next_cursor).speakers] == ["d"]


@pytest.mark.parametrize(
    "cursor", ["", "2", "after", "ü", "YWZ0ZXIgMQ", "YWZ0ZXIgMDE=", "YWZ0ZXIg4pGg", "YWZ0ZXIgLTE=", "A" * 10_000]
)
def test_a_foreign_cursor_is_refused(store: SpeakerStore, cursor: str) -> None:
    create(store, "alice")
    with pytest.raises(InvalidArgument, match="cursor"):
        store.list_speakers(ME, 10, cursor)


def test_a_list_has_at_least_one_place(store: SpeakerStore) -> None:
    with pytest.raises(InvalidArgument, match="at least 1; got 0"):
        store.list_speakers(ME, 0, None)


def test_an_erased_speaker_is_gone(store: SpeakerStore) -> None:
    create(store, "alice", "bob")
    enroll(store, "alice", 1, 2)
    of_bob = enroll(store, "bob", 3)
    store.erase_speaker(ME, "alice")

    with pytest.raises(SpeakerNotFound):
        store.get_speaker(ME, "alice")
    assert speaker_ids(store, store.references()) == [(ME, "bob")]
    assert store.list_enrollments(ME, "bob") == of_bob.enrollments

    create(store, "alice")
    assert store.list_enrollments(ME, "alice") == ()


def test_a_tenant_sees_its_own_only(store: SpeakerStore) -> None:
    create(store, "alice")
    create(store, "alice", "bob", tenant=OTHER)
    mine = enroll(store, "alice", 1)
    theirs = enroll(store, "alice", 2, 3, tenant=OTHER)
    their_id = theirs.enrollments[0].enrollment_id

    assert [speaker.speaker_id for speaker in store.list_speakers(ME, 10, None).speakers] == ["alice"]
    assert store.list_enrollments(ME, "alice") == mine.enrollments
    with pytest.raises(SpeakerNotFound):
        store.get_speaker(ME, "bob")
    with pytest.raises(SpeakerNotFound):
        store.erase_speaker(ME, "bob")
    with pytest.raises(EnrollmentNotFound):
        store.remove_enrollment(ME, "alice", their_id)
    found = store.find_reference(ME, "alice")
    assert found is not None
    np.testing.assert_array_equal(found.embedding, reference(new_enrollment(1).embedding[np.newaxis]))

    store.remove_enrollment(ME, "alice", mine.enrollments[0].enrollment_id)
    store.add_enrollments(ME, "alice", "encoder-b", [new_enrollment(4)])

    store.erase_speaker(ME, "alice")
    assert store.get_speaker(OTHER, "alice") == theirs.speaker
    assert store.list_enrollments(OTHER, "alice") == theirs.enrollments
