"""The SQL store and the processes around it: a second one, and one that is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

import app
from app.adapters.sql_store import open_store
from app.errors import StoreError
from app.records import DEFAULT_TENANT as ME
from app.records import Idempotency
from samples import MASTER, create

ROOT = Path(app.__file__).parents[1]
N_KILLS = 3
N_CALLS_BEFORE_KILL = 8

OPEN = """
import sys
from app.adapters.sql_store import open_store
from app.errors import StoreError
from samples import MASTER
try:
    open_store(sys.argv[1], MASTER)
except StoreError as error:
    print(error)
"""

# Enrols two clips a call, without end. The speech of both is the number of the call, so halves can be told.
ENROL = """
import itertools, sys
from samples import ENCODER_ID, MASTER, new_enrollment
from app.adapters.sql_store import open_store
from app.records import DEFAULT_TENANT, Idempotency
store = open_store(sys.argv[1], MASTER)
for n in itertools.count(int(sys.argv[2])):
    clips = [new_enrollment(2 * n, speech_s=n), new_enrollment(2 * n + 1, speech_s=n)]
    done = store.add_enrollments(DEFAULT_TENANT, "alice", ENCODER_ID, clips, Idempotency(str(n), "print"))
    print(*(enrollment.enrollment_id for enrollment in done.enrollments), flush=True)
"""


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/vouch.db"
    store = open_store(url, MASTER)
    said, _ = python(OPEN, url).communicate(timeout=30)
    assert f"is already open in process {os.getpid()}" in said
    assert "PostgreSQL" in said
    with pytest.raises(StoreError, match="is already open"):
        open_store(url, MASTER)

    store.close()
    store.close()
    said, _ = python(OPEN, url).communicate(timeout=30)
    assert said == ""
    open_store(url, MASTER).close()


def test_what_was_acknowledged_survives_a_kill_and_nothing_is_half_done(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/vouch.db"
    journal = tmp_path / "vouch.db-journal"
    store = open_store(url, MASTER)
    create(store, "alice")
    store.close()

    acknowledged: list[str] = []
    n_calls = 0
    for n_kill in range(N_KILLS):
        process = python(ENROL, url, str(n_calls + 1))
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(N_CALLS_BEFORE_KILL)]
        # Once between two calls, else while one writes: its journal is there.
        deadline = time.monotonic() + 10
        while n_kill and not (journal.exists() and journal.stat().st_size) and time.monotonic() < deadline:
            pass
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
        process.stdout.close()
        assert process.wait(timeout=10) == -signal.SIGKILL
        assert len(lines) >= N_CALLS_BEFORE_KILL
        acknowledged += [enrollment_id for line in lines for enrollment_id in line.split()]

        store = open_store(url, MASTER)
        enrollments = store.list_enrollments(ME, "alice")
        clips_by_call = Counter(enrollment.quality.speech_s for enrollment in enrollments)
        assert set(acknowledged) <= {enrollment.enrollment_id for enrollment in enrollments}
        assert set(clips_by_call.values()) == {2}
        n_calls = len(clips_by_call)
        # At most the call that was cut off is there without having been acknowledged.
        assert len(acknowledged) // 2 <= n_calls <= len(acknowledged) // 2 + n_kill + 1
        assert store.get_speaker(ME, "alice").enrollment_count == 2 * n_calls
        for n in range(1, n_calls + 1):
            replayed = store.replayed_enrollments(ME, "alice", Idempotency(str(n), "print"))
            assert replayed is not None
            assert len(replayed.enrollments) == 2
        assert store.replayed_enrollments(ME, "alice", Idempotency(str(n_calls + 1), "print")) is None
        store.close()
