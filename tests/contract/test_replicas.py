"""Several replicas on one PostgreSQL: what one of them is told, the next search of any other knows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from app.adapters.reference_log import KEPT_FOR, ReferenceLog
from app.errors import SettingsError, StoreError
from app.records import DEFAULT_TENANT as ME
from app.records import ChangesMark, SpeakerKey
from app.usecases.agreement import Agreement
from app.usecases.standing import StandingRule
from model.scoring import Embedding
from replicas import Replica, replica
from samples import ENCODER_ID, create, enroll, new_enrollment

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
KINDS = ["pgvector", "faiss"]


@contextmanager
def two(url: str, kind: str) -> Iterator[tuple[Replica, Replica]]:
    with ExitStack() as stack:
        yield stack.enter_context(replica(url, kind)), stack.enter_context(replica(url, kind))


def voice(seed: int) -> Embedding:
    return new_enrollment(seed).embedding


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_changes_on_one_is_known_to_the_next_search_on_another(kind: str, postgres_url: str) -> None:
    with two(postgres_url, kind) as (here, there):
        for n in range(3):
            create(here.store, f"speaker {n}")
            number = enroll(here.store, f"speaker {n}", n).speaker.number
            here.sync.refresh(ME, number)
            for one in (here, there):
                found = one.found(voice(n))
                assert found[f"speaker {n}"] == pytest.approx(1.0, abs=1e-3)
        (first,) = there.store.list_enrollments(ME, "speaker 1")
        enroll(there.store, "speaker 1", 7)
        assert here.found(voice(7))["speaker 1"] > 0.5
        there.store.remove_enrollment(ME, "speaker 1", first.enrollment_id)
        assert here.found(voice(7))["speaker 1"] == pytest.approx(1.0, abs=1e-3)
        there.store.erase_speaker(ME, "speaker 1")
        create(there.store, "speaker 1")
        for one in (here, there):
            assert set(one.found(voice(7))) == {"speaker 0", "speaker 2"}
            assert one.gallery.size(ME) == 2
        there.store.create_speaker(ME, "until noon", None, {}, {"expires_at": NOON.isoformat()})
        enroll(there.store, "until noon", 9)
        assert "until noon" in here.found(voice(9))
        assert len(there.store.erase_expired(NOON, 10)) == 1
        assert "until noon" not in here.found(voice(9))


@pytest.mark.parametrize("kind", KINDS)
def test_who_has_not_spoken_enough_is_not_found(kind: str, postgres_url: str) -> None:
    with replica(postgres_url, kind, min_speech_s=8.0) as one:
        create(one.store, "alice")
        one.sync.refresh(ME, enroll(one.store, "alice", 1).speaker.number)
        assert one.found(voice(1)) == {}
        one.sync.refresh(ME, enroll(one.store, "alice", 1).speaker.number)
        assert set(one.found(voice(1))) == {"alice"}
        (first, _) = one.store.list_enrollments(ME, "alice")
        one.sync.refresh(ME, one.store.remove_enrollment(ME, "alice", first.enrollment_id))
        assert one.found(voice(1)) == {}
        assert one.gallery.size(ME) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_replica_that_starts_finds_everybody(kind: str, postgres_url: str) -> None:
    with replica(postgres_url, kind) as one:
        create(one.store, "alice", "bob")
        enroll(one.store, "alice", 1)
        enroll(one.store, "bob", 2)
    with replica(postgres_url, kind) as another:
        assert another.found(voice(1))["alice"] == pytest.approx(1.0, abs=1e-3)
        assert another.found(voice(2))["bob"] == pytest.approx(1.0, abs=1e-3)
        assert another.gallery.is_kept == (kind == "pgvector")
    with replica(postgres_url, kind, encoder_id="encoder-b") as newer:
        assert newer.found(voice(1)) == {}, "embeddings of two encoders are never compared"


def test_a_commit_that_comes_late_is_not_missed(postgres_url: str) -> None:
    """Its row was numbered before one that was read already."""
    with two(postgres_url, "faiss") as (here, there):
        create(here.store, "late", "early")
        written, go_on = threading.Event(), threading.Event()
        slow = ReferenceLog(here.database)

        def changed_late() -> None:
            with here.database.writing() as connection:
                slow.changed(connection, ME, 1)
                written.set()
                assert go_on.wait(timeout=60)

        thread = threading.Thread(target=changed_late)
        thread.start()
        assert written.wait(timeout=60)
        assert there.changes is not None
        mark = there.changes.now()
        enroll(here.store, "early", 2)
        seen = there.changes.since(mark)
        assert seen is not None
        assert seen.speakers == {SpeakerKey(ME, 2)}
        again = there.changes.since(seen.mark)
        assert again is not None
        assert again.speakers == frozenset(), "what was told is not told again"
        go_on.set()
        thread.join()
        late = there.changes.since(again.mark)
        assert late is not None
        assert late.speakers == {SpeakerKey(ME, 1)}
        end = there.changes.since(late.mark)
        assert end is not None
        assert (end.speakers, end.mark.told) == (frozenset(), frozenset())


def test_a_replica_that_was_away_for_long_reads_everybody_anew(postgres_url: str) -> None:
    with two(postgres_url, "faiss") as (here, there):
        create(here.store, "alice")
        enroll(here.store, "alice", 1)
        assert here.changes is not None
        here.changes.prune()
        assert here.changes.since(ChangesMark(0)) is not None, "nothing is that old yet"
        with here.database.writing() as connection:
            aged = {"by": KEPT_FOR + timedelta(minutes=1)}
            connection.execute(text("UPDATE reference_changes SET changed_at = changed_at - :by"), aged)
        here.changes.prune()
        assert here.changes.since(ChangesMark(0)) is None
        assert set(there.found(voice(1))) == {"alice"}
        now = here.changes.since(here.changes.now())
        assert now is not None
        assert now.speakers == frozenset()


def test_a_dump_that_another_server_wrote_holds_nothing_up(postgres_url: str) -> None:
    """Its transactions have higher numbers than this server's will have for long."""
    with replica(postgres_url, "faiss") as one:
        create(one.store, "alice")
        enroll(one.store, "alice", 1)
        with one.database.writing() as connection:
            connection.execute(text("UPDATE reference_changes SET transaction = transaction + 1000000000"))
            connection.execute(
                text(
                    "INSERT INTO deployment SELECT 'reference_changes_pruned', max(transaction) FROM reference_changes"
                )
            )
    with replica(postgres_url, "faiss") as another:
        assert set(another.found(voice(1))) == {"alice"}
        assert another.changes is not None
        now = another.changes.since(another.changes.now())
        assert now is not None, "else everybody would be read for each search"
        assert now.speakers == frozenset()


def test_where_it_is_searched_is_one_setting_for_all(postgres_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with replica(postgres_url, "faiss") as sealed:
        create(sealed.store, "alice", "bob")
        enroll(sealed.store, "alice", 1)
        with replica(postgres_url, "pgvector") as searched:
            assert "VOUCH_GALLERY is pgvector now, and was faiss" in caplog.text
            assert "lie unsealed" in caplog.text
            assert set(searched.found(voice(1))) == {"alice"}, "who was enrolled before is filled in"
            with pytest.raises(StoreError, match="searches with faiss, and the others with pgvector"):
                enroll(sealed.store, "bob", 2)
            assert searched.store.get_speaker(ME, "bob").enrollment_count == 0
            enroll(searched.store, "bob", 2)
            assert "bob" in searched.found(voice(2))
    with replica(postgres_url, "faiss") as sealed_again:
        assert set(sealed_again.found(voice(2))) == {"alice", "bob"}
        with sealed_again.database.reading() as connection:
            assert not inspect(connection).has_table("speaker_references"), "nothing unsealed is left"


def test_replicas_that_start_at_once_fill_it_once(postgres_url: str) -> None:
    with replica(postgres_url, "faiss") as before:
        for n in range(20):
            create(before.store, f"speaker {n}")
            enroll(before.store, f"speaker {n}", n)
    opened = threading.Barrier(2)
    found: list[set[str]] = []

    def start() -> None:
        opened.wait(timeout=60)
        with replica(postgres_url, "pgvector") as one:
            found.append(set(one.found(voice(3))))

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert all("speaker 3" in one for one in found)


def test_pgvector_is_not_in_sqlite(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="which is in PostgreSQL, and the database is SQLite"),
        replica(f"sqlite:///{tmp_path}/vouch.db", "pgvector"),
    ):
        pass


def test_a_damaged_enrollment_can_be_taken_back(postgres_url: str) -> None:
    with replica(postgres_url, "pgvector") as one:
        create(one.store, "alice")
        damaged, sound, other = enroll(one.store, "alice", 1, 2, 3).enrollments
        with one.database.writing() as connection:
            spoilt = {"ids": [damaged.enrollment_id, other.enrollment_id]}
            connection.execute(text("UPDATE enrollments SET embedding = 'x' WHERE enrollment_id = ANY(:ids)"), spoilt)
        one.store.remove_enrollment(ME, "alice", damaged.enrollment_id)
        assert one.found(voice(2)) == {}, "the other one is damaged too"
        one.store.remove_enrollment(ME, "alice", other.enrollment_id)
        assert one.found(voice(2))["alice"] == pytest.approx(1.0, abs=1e-3)
        assert [left.enrollment_id for left in one.store.list_enrollments(ME, "alice")] == [sound.enrollment_id]


def test_a_reference_that_is_not_the_enrollments_is_put_right(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with replica(postgres_url, "pgvector") as one:
        create(one.store, "lost", "other's", "damaged", "sound")
        for seed, speaker_id in enumerate(["lost", "other's", "damaged", "sound"]):
            enroll(one.store, speaker_id, seed)
        with one.database.writing() as connection:
            connection.execute(text("DELETE FROM speaker_references WHERE speaker_seq = 1"))
            connection.execute(
                text(
                    "UPDATE speaker_references SET speech_s = 0, embedding = other.embedding FROM speaker_references AS other "
                    "WHERE speaker_references.speaker_seq = 2 AND other.speaker_seq = 4"
                )
            )
            connection.execute(text("UPDATE enrollments SET embedding = 'x' WHERE speaker_id = 'damaged'"))
            connection.execute(text("DELETE FROM speaker_references WHERE speaker_seq = 3"))
        agreement = Agreement(one.store, one.gallery, StandingRule(ENCODER_ID, 4.0), one.sync)
        agreement.look()
        assert set(one.found(voice(0))) == {"sound"}, "somebody may have been changed between the two looks"
        agreement.look()
        assert set(one.found(voice(0))) == {"lost", "other's", "sound"}
        assert one.found(voice(1))["other's"] == pytest.approx(1.0, abs=1e-3)
        assert "speakers who were not as the store has them: 2" in caplog.text
        caplog.clear()
        agreement.look()
        agreement.look()
        assert caplog.text == "", "whoever cannot be read was told of once"
        assert agreement.n_differing == 0


def test_nobody_is_put_back_after_an_erasure(postgres_url: str) -> None:
    with replica(postgres_url, "pgvector") as one:
        create(one.store, "alice")
        number = enroll(one.store, "alice", 1).speaker.number
        (reference,) = one.store.find_references(ME, [number])
        one.store.erase_speaker(ME, "alice")
        one.gallery.upsert(reference)
        assert one.gallery.size(ME) == 0
