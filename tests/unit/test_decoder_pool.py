"""Decoders in child processes: the same waveforms and errors, and nothing that a child does hurts anybody else."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import shipped
import signals
from app.adapters.decoder_pool import DecoderPool
from app.adapters.decoder_process import DecoderProcess
from app.errors import ModelNotReady
from model.decoding import DecodingLimits, decode
from model.errors import AudioError, AudioTooLong, CorruptAudio, UnsupportedAudio

LIMITS = DecodingLimits(max_duration_s=20.0)
NOISE = signals.white_noise(1.0)
UPLOADS = {
    "wav": signals.wav(NOISE),
    "wav at 48 kHz": signals.wav(NOISE, 48_000),
    "wav of a telephone": signals.wav(NOISE, 8_000, "ULAW"),
    "flac": signals.flac(NOISE),
    "mp3": signals.mp3(NOISE),
    "ogg": signals.ogg_opus(NOISE),
    "webm": signals.webm(NOISE),
    "m4a": signals.m4a(NOISE),
}
BROKEN: dict[str, tuple[bytes, type[AudioError]]] = {
    "text": (b"this is no sound at all", UnsupportedAudio),
    "cut": (UPLOADS["flac"][: len(UPLOADS["flac"]) // 2], CorruptAudio),
    "long": (signals.wav(signals.silence(20.5)), AudioTooLong),
    "nothing": (b"", AudioError),
}
linux_only = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads Linux's /proc")


@pytest.fixture(scope="module")
def shared() -> Iterator[DecoderPool]:
    pool = DecoderPool(LIMITS, 2)
    yield pool
    pool.close()


def children_of(pid: int) -> set[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return {int(child) for thread in threads for child in (thread / "children").read_text().split()}


def decoders() -> set[int]:
    """The children of this process that decode, of every pool that it has."""
    return {pid for pid in children_of(os.getpid()) if b"decoder_child" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def limit_of(pid: int, name: str) -> str:
    """The soft one, as the kernel has it."""
    (line,) = (row for row in Path(f"/proc/{pid}/limits").read_text().splitlines() if row.startswith(name))
    return line.removeprefix(name).split()[0]


@contextmanager
def lone_child() -> Iterator[tuple[DecoderPool, int]]:
    """A pool of one child, for tests that hurt it, and the child's number."""
    before = decoders()
    pool = DecoderPool(LIMITS, 1, max_seconds=2.0)
    (pid,) = decoders() - before
    try:
        yield pool, pid
    finally:
        pool.close()


def stop(pid: int) -> None:
    """And waits until it stands: on a busy machine it may decode a clip first."""
    os.kill(pid, signal.SIGSTOP)
    ends_at = time.monotonic() + 30
    while any(
        task.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "T"
        for task in Path(f"/proc/{pid}/task").glob("*/stat")
    ):
        assert time.monotonic() < ends_at, "it does not stop"
        time.sleep(0.001)


class Gate:
    """Starts children, and after the first `n_free` only once it is open."""

    def __init__(self, n_free: int) -> None:
        self.open = threading.Event()
        self.pids: list[int] = []
        self.refusals: list[OSError] = []
        """Of the starts to come, one each."""
        self._n_free = n_free

    def __call__(self, limits: DecodingLimits) -> DecoderProcess:
        if len(self.pids) >= self._n_free:
            assert self.open.wait(timeout=30)
            if self.refusals:
                raise self.refusals.pop()
        before = children_of(os.getpid())
        child = DecoderProcess(limits)
        self.pids += children_of(os.getpid()) - before
        return child


@contextmanager
def gated(n_children: int, **arguments: int) -> Iterator[tuple[DecoderPool, Gate]]:
    """A pool whose first children started, and whose next ones wait for the gate."""
    gate = Gate(n_children)
    pool = DecoderPool(LIMITS, n_children, start=gate, **arguments)
    try:
        yield pool, gate
    finally:
        gate.open.set()
        pool.close()


def kill_over_a_clip(pool: DecoderPool, pid: int) -> None:
    """Its caller's error, after which the pool needs another child."""
    stop(pid)  # so that it has the file when it dies
    deadly = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    deadly.start()
    with pytest.raises(CorruptAudio, match="could not survive the file"):
        pool.decode(UPLOADS["flac"])
    deadly.join()


def has_ended(pid: int, within_s: float = 20.0) -> bool:
    """Waits for a process that need not be a child of this one."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], within_s)[0])
    finally:
        os.close(watched)


@pytest.mark.parametrize("name", UPLOADS)
def test_a_child_decodes_as_this_process_does(shared: DecoderPool, name: str) -> None:
    ours, theirs = decode(UPLOADS[name], LIMITS), shared.decode(UPLOADS[name])
    np.testing.assert_array_equal(theirs.samples, ours.samples)
    assert theirs.samples.dtype == np.float32
    assert theirs.source == ours.source


@pytest.mark.parametrize("name", BROKEN)
def test_errors_come_through_and_the_child_goes_on(shared: DecoderPool, name: str) -> None:
    data, kind = BROKEN[name]
    with pytest.raises(kind) as ours:
        decode(data, LIMITS)
    with pytest.raises(kind) as theirs:
        shared.decode(data)
    assert type(theirs.value) is type(ours.value)
    assert str(theirs.value) == str(ours.value)
    assert len(shared.decode(UPLOADS["wav"]).samples) == 16_000


def test_more_threads_than_children_take_turns(shared: DecoderPool) -> None:
    uploads = [signals.flac(signals.white_noise(0.1 * n)) for n in range(1, 33)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(shared.decode, uploads))
    for upload, waveform in zip(uploads, found, strict=True):
        np.testing.assert_array_equal(waveform.samples, decode(upload, LIMITS).samples)


@linux_only
def test_a_child_that_died_while_idle_costs_nobody_anything() -> None:
    with lone_child() as (pool, pid):
        os.kill(pid, signal.SIGKILL)
        assert has_ended(pid)
        assert len(pool.decode(UPLOADS["flac"]).samples) == 16_000
        assert pool.n_deaths == 0, "no upload killed it"


@linux_only
def test_a_child_that_dies_of_a_file_costs_its_caller_an_error() -> None:
    with lone_child() as (pool, pid):
        kill_over_a_clip(pool, pid)
        assert len(pool.decode(UPLOADS["flac"]).samples) == 16_000
        assert pool.n_deaths == 1


@linux_only
def test_nobody_waits_for_the_successor_of_a_dead_child_while_another_lives() -> None:
    with gated(2) as (pool, gate):
        last = gate.pids[-1]
        os.kill(last, signal.SIGKILL)
        assert has_ended(last)
        for _ in range(3):
            assert len(pool.decode(UPLOADS["flac"]).samples) == 16_000


@linux_only
def test_the_caller_whose_file_killed_a_child_does_not_wait_for_its_successor() -> None:
    with gated(1) as (pool, gate):
        kill_over_a_clip(pool, gate.pids[0])  # which returns although no child may start
        gate.open.set()
        assert len(pool.decode(UPLOADS["flac"]).samples) == 16_000


@linux_only
def test_a_child_that_had_its_clips_decodes_until_its_successor_is_ready() -> None:
    with gated(1, max_clips=2) as (pool, gate):
        (pid,) = gate.pids
        for _ in range(6):
            assert len(pool.decode(UPLOADS["flac"]).samples) == 16_000
        assert gate.pids == [pid]
        gate.open.set()
        for _ in range(10_000):
            assert len(pool.decode(UPLOADS["flac"]).samples) == 16_000
            if pid not in decoders():
                break
        assert pid not in decoders()
        assert gate.pids[1] in decoders()


@linux_only
def test_where_no_child_can_be_started_the_caller_is_told_and_the_next_clip_tries_again() -> None:
    with gated(1) as (pool, gate):
        gate.refusals = [OSError("no process left")] * 2
        gate.open.set()
        kill_over_a_clip(pool, gate.pids[0])
        with pytest.raises(ModelNotReady, match="No decoder can be started now"):
            pool.decode(UPLOADS["flac"])
        assert len(pool.decode(UPLOADS["flac"]).samples) == 16_000


@linux_only
def test_closing_ends_a_successor_that_is_being_started() -> None:
    with gated(1, max_clips=1) as (pool, gate):
        pool.decode(UPLOADS["flac"])
    assert len(gate.pids) == 2
    assert all(has_ended(pid) for pid in gate.pids)


@linux_only
def test_a_child_that_takes_too_long_is_ended_and_replaced() -> None:
    with lone_child() as (pool, pid):
        stop(pid)
        with pytest.raises(CorruptAudio, match=r"took more than 2 s\. Export the clip anew"):
            pool.decode(UPLOADS["flac"])
        assert has_ended(pid)
        assert len(pool.decode(UPLOADS["flac"]).samples) == 16_000
        assert pool.n_deaths == 1


@linux_only
def test_a_child_may_write_no_file_and_has_its_memory_bounded(shared: DecoderPool) -> None:
    shared.decode(UPLOADS["flac"])  # its processor time is bounded with the first clip
    for pid in decoders():
        assert limit_of(pid, "Max file size") == limit_of(pid, "Max core file size") == "0"
        assert int(limit_of(pid, "Max address space")) < 4 * 2**30
    assert any(limit_of(pid, "Max cpu time") != "unlimited" for pid in decoders())


@linux_only
@pytest.mark.parametrize("encoding", ["PCM_16", "FLOAT"])
def test_what_needs_no_decoder_waits_for_none(encoding: str) -> None:
    with lone_child() as (pool, pid):
        stop(pid)
        assert len(pool.decode(signals.wav(NOISE, encoding=encoding)).samples) == 16_000


@linux_only
def test_children_end_with_the_pool_and_with_a_service_that_is_killed() -> None:
    program = (
        "import sys; from app.adapters.decoder_pool import DecoderPool; from model.decoding import DecodingLimits; "
        "pool = DecoderPool(DecodingLimits(), 2); print('ready', flush=True); sys.stdin.readline(); pool.close(); "
        "print('closed', flush=True); sys.stdin.readline()"
    )
    for is_killed in (False, True):
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=shipped.ROOT
        ) as service:
            assert service.stdin is not None
            assert service.stdout is not None
            assert service.stdout.readline() == "ready\n"
            children = children_of(service.pid)
            assert len(children) == 2
            if is_killed:
                service.kill()
            else:
                print(file=service.stdin, flush=True)
                assert service.stdout.readline() == "closed\n"
            assert all(has_ended(pid) for pid in children)
            service.kill()
