"""The audit trail on disk: nothing is lost, nothing can be changed unseen, nobody is named."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.adapters.audit_files import MAX_WAITING, AuditFiles, audit_files
from app.adapters.audit_lines import TrailKeys
from app.adapters.audit_reading import Trail
from app.audit import AuditEntry
from app.errors import StoreError

KEYS = TrailKeys.of(b"a secret of thirty-two bytes long")
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
ENTRY = AuditEntry(NOON, "verify", "accept", "00ff", "req_1", "ours", "alice", None)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def opened(folder: Path, clock: Callable[[], datetime], keep_days: int = 0) -> AuditFiles:
    return AuditFiles(folder, KEYS, keep_days, clock)


def written(folder: Path, n: int, clock: Clock | None = None) -> None:
    trail = opened(folder, clock or Clock())
    for i in range(n):
        trail.write(replace(ENTRY, request_id=f"req_{i}"), is_synced=False)


def requests(folder: Path) -> list[str]:
    return [entry["request"] for entry in Trail(folder, KEYS).entries()]


def test_an_entry_comes_back_without_the_speaker_s_name(folder: Path, clock: Clock) -> None:
    opened(folder, clock).write(replace(ENTRY, about="e1"), is_synced=True)
    text = (folder / "2026-01-31.jsonl").read_text()
    assert "alice" not in text
    (entry,) = Trail(folder, KEYS).entries()
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
    assert (folder.stat().st_mode & 0o777, (folder / "2026-01-31.jsonl").stat().st_mode & 0o777) == (0o700, 0o600)


def test_one_speaker_s_entries_are_found_by_whoever_has_the_key(folder: Path, clock: Clock) -> None:
    trail = opened(folder, clock)
    for tenant, speaker_id in (("ours", "alice"), ("ours", "bob"), ("theirs", "alice"), ("ours", None)):
        trail.write(replace(ENTRY, tenant=tenant, speaker_id=speaker_id), is_synced=False)
    found = Trail(folder, KEYS)
    assert len(list(found.entries("ours", "alice"))) == 1
    assert len(list(found.entries("ours"))) == 3
    assert len(list(found.entries())) == 4
    assert list(Trail(folder, TrailKeys.of(b"another")).entries("ours", "alice")) == []


def test_a_trail_goes_on_over_days_and_starts(folder: Path, clock: Clock) -> None:
    for day in range(3):
        clock.now = NOON + timedelta(days=day)
        written(folder, 2, clock)
        written(folder, 1, clock)
    assert len(audit_files(folder)) == 3
    found = Trail(folder, KEYS).check()
    assert (found.problem, found.n_entries, found.n_files) == (None, 9, 3)
    assert (found.first_at, found.last_at) == ("2026-01-31T12:00:00.000000Z", "2026-01-31T12:00:00.000000Z")
    assert json.loads(audit_files(folder)[-1].read_text().splitlines()[-1])["mac"] == found.last_mac


def test_a_clock_that_was_put_back_leaves_the_order(folder: Path, clock: Clock) -> None:
    clock.now = NOON + timedelta(days=1)
    trail = opened(folder, clock)
    trail.write(ENTRY, is_synced=False)
    clock.now = NOON
    trail.write(ENTRY, is_synced=False)
    written(folder, 1, clock)
    assert [path.name for path in audit_files(folder)] == ["2026-02-01.jsonl"]
    assert Trail(folder, KEYS).check().problem is None


def changed(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"accept", b"reject"), *lines[2:]]


DAMAGE: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "changed": changed,
    "taken out": lambda lines: lines[:1] + lines[2:],
    "moved": lambda lines: [lines[0], lines[2], lines[1], *lines[3:]],
    "put in twice": lambda lines: [*lines[:2], lines[1], *lines[2:]],
    "no JSON": lambda lines: [lines[0], b"nothing", *lines[2:]],
    "empty": lambda lines: [lines[0], b"", *lines[2:]],
    "its beginning taken": lambda lines: lines[1:],
    "another file's beginning": lambda lines: [lines[0].replace(b'"after":"', b'"after":"0'), *lines[1:]],
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("day", [0, 1])
def test_what_was_changed_shows(folder: Path, clock: Clock, damage: str, day: int) -> None:
    for n in range(2):
        clock.now = NOON + timedelta(days=n)
        written(folder, 3, clock)
    path = audit_files(folder)[day]
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"".join(line + b"\n" for line in DAMAGE[damage](lines)))
    problem = Trail(folder, KEYS).check().problem
    assert problem is not None
    assert path.name in problem
    clock.now = NOON + timedelta(days=2)
    written(folder, 1, clock)  # and the service goes on
    assert path.name in str(Trail(folder, KEYS).check().problem)


def test_what_was_cut_off_shows_in_the_next_file_or_against_a_mac_that_was_noted(folder: Path, clock: Clock) -> None:
    written(folder, 3, clock)
    noted = Trail(folder, KEYS).check().last_mac
    clock.now += timedelta(days=1)
    written(folder, 1, clock)
    first, second = audit_files(folder)
    whole = first.read_bytes()
    first.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    assert second.name in str(Trail(folder, KEYS).check().problem)
    second.unlink()
    assert Trail(folder, KEYS).check().problem is None
    assert str(noted) in str(Trail(folder, KEYS).check(noted).problem)
    first.write_bytes(whole)
    assert Trail(folder, KEYS).check(noted).problem is None


def test_a_file_taken_from_between_shows(folder: Path, clock: Clock) -> None:
    for day in range(3):
        clock.now = NOON + timedelta(days=day)
        written(folder, 1, clock)
    audit_files(folder)[1].unlink()
    assert "2026-02-02.jsonl" in str(Trail(folder, KEYS).check().problem)


def test_another_secret_s_trail_is_none_of_ours(folder: Path) -> None:
    written(folder, 1)
    assert Trail(folder, TrailKeys.of(b"another")).check().problem is not None
    assert Trail(folder / "nowhere", KEYS).check().n_entries == 0


@pytest.mark.parametrize("left", [b'{"at":"2026', b"\x00" * 100])
@pytest.mark.parametrize("n", [0, 2])
def test_half_a_line_is_cut_off_and_the_trail_goes_on(
    folder: Path, n: int, left: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    written(folder, n)
    with (folder / "2026-01-31.jsonl").open("ab") as file:
        file.write(left)
    assert Trail(folder, KEYS).check().problem is None
    written(folder, 1)
    assert f"{len(left)} bytes are cut off" in caplog.text
    assert (Trail(folder, KEYS).check().problem, len(requests(folder))) == (None, n + 1)


def test_old_files_go_and_the_rest_is_whole(folder: Path, clock: Clock) -> None:
    trail = opened(folder, clock, keep_days=2)
    for day in range(6):
        clock.now = NOON + timedelta(days=day)
        trail.write(ENTRY, is_synced=False)
    assert [path.stem for path in audit_files(folder)] == ["2026-02-03", "2026-02-04", "2026-02-05"]
    assert Trail(folder, KEYS).check().problem is None
    clock.now = NOON + timedelta(days=60)
    opened(folder, clock, keep_days=2)
    assert [path.stem for path in audit_files(folder)] == ["2026-02-05"]  # the next one follows it


@contextmanager
def full_disk(n_bytes: int) -> Iterator[None]:
    """No file of this process grows past so many bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_entries_wait_for_a_full_disk_and_no_change_begins(
    folder: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    trail = opened(folder, clock)
    trail.write(replace(ENTRY, request_id="req_0"), is_synced=True)
    size = (folder / "2026-01-31.jsonl").stat().st_size
    with full_disk(size + 50):  # within the next line
        for i in (1, 2):
            trail.write(replace(ENTRY, request_id=f"req_{i}"), is_synced=True)
        assert (trail.n_unwritten, (folder / "2026-01-31.jsonl").stat().st_size) == (2, size)
        with pytest.raises(StoreError, match=r"audit trail .* cannot be written"):
            trail.require_room()
        trail.sync()
        assert "2 entries wait" in caplog.text
    trail.require_room()
    assert trail.n_unwritten == 0
    assert requests(folder) == ["req_0", "req_1", "req_2"]
    assert Trail(folder, KEYS).check().problem is None


def test_a_question_is_refused_only_when_too_many_wait(folder: Path, clock: Clock) -> None:
    trail = opened(folder, clock)
    logging.disable(logging.ERROR)
    try:
        with full_disk(0):
            for _ in range(MAX_WAITING):
                trail.write(ENTRY, is_synced=False)
            with pytest.raises(StoreError):
                trail.write(ENTRY, is_synced=False)
    finally:
        logging.disable(logging.NOTSET)
    trail.sync()
    assert len(requests(folder)) == MAX_WAITING


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "audit").write_text("a file")
    with pytest.raises(StoreError, match="cannot be written"):
        opened(tmp_path / "audit", clock)


def test_threads_and_processes_write_one_trail(folder: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from test_audit_files import written; written(Path(sys.argv[1]), 50)"
    )
    paths = [str(Path(__file__).parent), *sys.path]
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder)], env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
        )
        for _ in range(2)
    ]
    trail = opened(folder, Clock())
    threads = [
        threading.Thread(target=lambda: [trail.write(ENTRY, is_synced=False) for _ in range(50)]) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [other.wait(60) for other in others] == [0, 0]
    found = Trail(folder, KEYS).check()
    assert (found.problem, found.n_entries) == (None, 250)
