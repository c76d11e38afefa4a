"""What Linux tells in /proc of a process and all its descendants: memory, descriptors, processor time."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

PROC = Path("/proc")
SAMPLE_S = 0.25

T = TypeVar("T")


@dataclass(frozen=True)
class Footprint:
    """Of a process and its descendants together."""

    n_processes: int
    n_descriptors: int
    resident_bytes: int
    """Pages that they share count for each of them."""


def family(pid: int) -> list[int]:
    """The process first, then its descendants."""
    found = [pid]
    for parent in found:  # grows on the way
        for children in (PROC / str(parent) / "task").glob("*/children"):
            found.extend(int(child) for child in _told(children.read_text, "").split())
    return found


def footprint(pid: int) -> Footprint:
    pids = family(pid)
    return Footprint(len(pids), sum(map(n_descriptors, pids)), sum(map(resident_bytes, pids)))


def n_descriptors(pid: int) -> int:
    return _told(lambda: sum(1 for _ in (PROC / str(pid) / "fd").iterdir()), 0)


def resident_bytes(pid: int) -> int:
    told = _told((PROC / str(pid) / "statm").read_text, "0 0")
    return int(told.split()[1]) * resource.getpagesize()


def cpu_seconds(pids: Sequence[int]) -> float:
    """Processor time that the processes have taken since they began, in user and in kernel mode."""
    ticks = 0
    for pid in pids:
        # The name, in brackets, may hold spaces.
        fields = _told((PROC / str(pid) / "stat").read_text, ") ").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def sampled(take: Callable[[], T], every_s: float = SAMPLE_S) -> Iterator[list[T]]:
    """What `take` gives, again and again while the block runs, and at its begin and end."""
    samples, stop = [take()], threading.Event()

    def sample() -> None:
        while not stop.wait(every_s):
            samples.append(take())

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        stop.set()
        thread.join()
        samples.append(take())


def _told(read: Callable[[], T], otherwise: T) -> T:
    """Of a process that ended on the way there is nothing to tell."""
    try:
        return read()
    except (FileNotFoundError, ProcessLookupError):
        return otherwise
