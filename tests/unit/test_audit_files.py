"""The audit trail in files: days, half a line, a full disk, and processes that share a folder.

What it has in common with others is in `tests/contract/test_audit_trail.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from app.adapters.audit_files import AuditFiles, audit_files
from app.adapters.audit_reading import Trail
from app.errors import StoreError
from audit_trails import ENTRY, KEYS, NOON, Clock, full_disk


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"


def opened(folder: Path, clock: Clock, keep_days: int = 0) -> AuditFiles:
    return AuditFiles(folder, KEYS, keep_days, clock)


def written(folder: Path, n: int, clock: Clock | None = None) -> None:
    trail = opened(folder, clock or Clock())
    for _ in range(n):
        trail.write(ENTRY, is_synced=False)


def test_folder_and_files_are_the_service_s_alone(folder: Path, clock: Clock) -> None:
    opened(folder, clock).write(ENTRY, is_synced=True)
    assert (folder.stat().st_mode & 0o777, (folder / "2026-01-31.jsonl").stat().st_mode & 0o777) == (0o700, 0o600)
    assert Trail(folder, KEYS).check().n_files == 1


def test_a_clock_that_was_put_back_leaves_the_names_in_order(folder: Path, clock: Clock) -> None:
    clock.now = NOON + timedelta(days=1)
    trail = opened(folder, clock)
    trail.write(ENTRY, is_synced=False)
    clock.now = NOON
    trail.write(ENTRY, is_synced=False)
    written(folder, 1, clock)
    assert [path.name for path in audit_files(folder)] == ["2026-02-01.jsonl"]


def test_a_folder_that_is_not_there_is_an_empty_trail(folder: Path) -> None:
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
    assert (Trail(folder, KEYS).check().problem, Trail(folder, KEYS).check().n_entries) == (None, n + 1)


def test_the_newest_file_stays_for_the_next_one_to_follow(folder: Path, clock: Clock) -> None:
    written(folder, 1, clock)
    clock.now = NOON + timedelta(days=60)
    opened(folder, clock, keep_days=2)
    assert [path.stem for path in audit_files(folder)] == ["2026-01-31"]


def test_a_full_disk_leaves_no_half_line(folder: Path, clock: Clock) -> None:
    trail = opened(folder, clock)
    trail.write(ENTRY, is_synced=True)
    size = (folder / "2026-01-31.jsonl").stat().st_size
    with full_disk(size + 50):  # within the next line
        trail.write(ENTRY, is_synced=True)
        assert (trail.n_unwritten, (folder / "2026-01-31.jsonl").stat().st_size) == (1, size)


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
