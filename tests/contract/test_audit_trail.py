"""Every audit trail: nothing is lost, nothing can be changed unseen, nobody is named."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.adapters.audit_lines import TrailKeys
from app.errors import StoreError
from audit_trails import ENTRY, NOON, Clock, Kept, KeptFiles, KeptRows


@pytest.fixture(params=["files", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "files":
        return KeptFiles(tmp_path / "audit")
    kept_rows: KeptRows = request.getfixturevalue("audit_rows")
    return kept_rows


@pytest.fixture
def clock() -> Clock:
    return Clock()


def write(kept: Kept, n: int, clock: Clock, keep_days: int = 0) -> None:
    """So many entries, by a process that ends in good order."""
    with closing(kept.opened(clock, keep_days)) as trail:
        for i in range(n):
            trail.write(replace(ENTRY, at=clock.now, request_id=f"req_{i}"), is_synced=False)


def requests(kept: Kept) -> list[str]:
    return [entry["request"] for entry in kept.read().entries()]


def test_an_entry_comes_back_without_the_speaker_s_name(kept: Kept, clock: Clock) -> None:
    kept.opened(clock).write(replace(ENTRY, about="e1"), is_synced=True)
    assert not any(b"alice" in line for lines in kept.parts().values() for line in lines)
    (entry,) = kept.read().entries()
    assert len(entry.pop("speaker")) == len(entry.pop("mac")) == 64
    assert entry == {
        "at": "2026-01-31T12:00:00.000000Z",
        "action": "verify",
        "outcome": "accept",
        "by": "00ff",
        "request": "req_1",
        "tenant": "ours",
        "about": "e1",
    }


def test_one_speaker_s_entries_are_found_by_whoever_has_the_key(kept: Kept, clock: Clock) -> None:
    trail = kept.opened(clock)
    for tenant, speaker_id in (("ours", "alice"), ("ours", "bob"), ("theirs", "alice"), ("ours", None)):
        trail.write(replace(ENTRY, tenant=tenant, speaker_id=speaker_id), is_synced=False)
    found = kept.read()
    assert len(list(found.entries("ours", "alice"))) == 1
    assert len(list(found.entries("ours"))) == 3
    assert len(list(found.entries())) == 4
    assert list(kept.read(TrailKeys.of(b"another")).entries("ours", "alice")) == []


def test_a_trail_goes_on_over_days_and_starts(kept: Kept, clock: Clock) -> None:
    for day in range(3):
        clock.now = NOON + timedelta(days=day)
        write(kept, 2, clock)
        write(kept, 1, clock)
    found = kept.read().check()
    assert (found.problem, found.n_entries, found.unclosed) == (None, 9, ())
    assert (found.first_at, found.last_at) == ("2026-01-31T12:00:00.000000Z", "2026-02-02T12:00:00.000000Z")
    lines = list(kept.parts().values())[-1]
    assert json.loads(lines[-1])["mac"] in str(found.last_mac)


def test_a_clock_that_was_put_back_leaves_the_order(kept: Kept, clock: Clock) -> None:
    clock.now = NOON + timedelta(days=1)
    trail = kept.opened(clock)
    trail.write(ENTRY, is_synced=False)
    clock.now = NOON
    trail.write(ENTRY, is_synced=False)
    assert len(kept.parts()) == 1
    write(kept, 1, clock)
    assert kept.read().check().problem is None


DAMAGE: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "changed": lambda lines: [lines[0], lines[1].replace(b"accept", b"reject"), *lines[2:]],
    "taken out": lambda lines: lines[:1] + lines[2:],
    "moved": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "put in twice": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "no JSON": lambda lines: [lines[0], b"nothing", *lines[2:]],
    "empty": lambda lines: [lines[0], b"", *lines[2:]],
    "its beginning taken": lambda lines: lines[1:],
    "its beginning changed": lambda lines: [lines[0].replace(b'"at":"2026', b'"at":"2025'), *lines[1:]],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("day", [0, 1])
def test_what_was_changed_shows(kept: Kept, clock: Clock, damage: str, day: int) -> None:
    for n in range(2):
        clock.now = NOON + timedelta(days=n)
        write(kept, 3, clock)
    name, lines = list(kept.parts().items())[day]
    kept.replace(name, DAMAGE[damage](lines))
    assert name in str(kept.read().check().problem)
    clock.now = NOON + timedelta(days=2)
    write(kept, 1, clock)  # and the service goes on
    assert name in str(kept.read().check().problem)


def test_what_was_cut_off_shows_against_what_began_later_or_a_mac_that_was_noted(kept: Kept, clock: Clock) -> None:
    write(kept, 3, clock)
    noted = kept.read().check().last_mac
    (first,) = kept.parts()
    clock.now += timedelta(days=1)
    write(kept, 1, clock)
    lines = kept.parts()[first]
    kept.replace(first, lines[:-1])
    assert kept.read().check().problem is not None
    (second,) = set(kept.parts()) - {first}
    kept.replace(second, [])
    assert kept.read().check().problem is None
    assert str(noted) in str(kept.read().check(noted).problem)
    kept.replace(first, lines)
    assert kept.read().check(noted).problem is None


def test_a_part_taken_from_between_shows(kept: Kept, clock: Clock) -> None:
    for day in range(3):
        clock.now = NOON + timedelta(days=day)
        write(kept, 1, clock)
    kept.replace(list(kept.parts())[1], [])
    assert "missing" in str(kept.read().check().problem)


def test_another_secret_s_trail_is_none_of_ours(kept: Kept, clock: Clock) -> None:
    assert kept.read().check().n_entries == 0
    write(kept, 1, clock)
    assert kept.read(TrailKeys.of(b"another")).check().problem is not None


def test_what_is_old_goes_and_the_rest_is_whole(kept: Kept, clock: Clock) -> None:
    trail = kept.opened(clock, keep_days=2)
    for day in range(6):
        clock.now = NOON + timedelta(days=day)
        trail.write(replace(ENTRY, at=clock.now), is_synced=False)
        for _ in range(3):
            trail.sync()
            assert kept.read().check().problem is None
    assert [entry["at"][:10] for entry in kept.read().entries()] == ["2026-02-03", "2026-02-04", "2026-02-05"]


def test_entries_wait_while_they_cannot_be_written_and_no_change_begins(
    kept: Kept, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    trail = kept.opened(clock)
    trail.write(replace(ENTRY, request_id="req_0"), is_synced=True)
    before = kept.parts()
    with kept.unwritable():
        for i in (1, 2):
            trail.write(replace(ENTRY, request_id=f"req_{i}"), is_synced=True)
        assert trail.n_unwritten == 2
        with pytest.raises(StoreError, match="cannot be written"):
            trail.require_room()
        trail.sync()
        assert "2 entries wait" in caplog.text
    assert kept.parts() == before
    trail.require_room()
    assert trail.n_unwritten == 0
    assert requests(kept) == ["req_0", "req_1", "req_2"]
    assert kept.read().check().problem is None


def test_threads_write_one_trail(kept: Kept, clock: Clock) -> None:
    trail = kept.opened(clock)
    threads = [
        threading.Thread(target=lambda: [trail.write(ENTRY, is_synced=i % 5 == 0) for i in range(50)]) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = kept.read().check()
    assert (found.problem, found.n_entries, len(kept.parts())) == (None, 150, 1)
