"""What bench/ reads of processes in /proc."""

import itertools
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from processes import cpu_seconds, family, footprint, resident_bytes, sampled

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="needs Linux's /proc")

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "held = bytearray(50 << 20); print(flush=True); input()"], stdin=subprocess.PIPE)
input()
child.communicate(b"\\n")
"""


def test_a_family_is_counted_with_its_children() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        found = family(parent.pid)
        taken = footprint(parent.pid)
        assert (len(found), found[0], taken.n_processes) == (2, parent.pid, 2)
        assert taken.n_descriptors >= 6  # the three standard ones of each
        assert taken.resident_bytes > 50 << 20
        assert resident_bytes(parent.pid) < 50 << 20
        parent.communicate(b"\n")
    assert footprint(parent.pid).resident_bytes == 0  # who has ended takes nothing, and is no error


def test_processor_time_counts_work_and_not_waiting() -> None:
    begin_s = cpu_seconds([os.getpid()])
    time.sleep(0.2)  # the waiting that must not count
    assert cpu_seconds([os.getpid()]) - begin_s < 0.15
    until_s = time.process_time() + 0.3
    while time.process_time() < until_s:
        pass
    assert cpu_seconds([os.getpid()]) - begin_s >= 0.25


def test_samples_are_taken_before_meanwhile_and_after() -> None:
    samples_taken, enough = itertools.count(), threading.Event()

    def sample() -> int:
        number = next(samples_taken)
        if number == 3:
            enough.set()
        return number

    with sampled(sample, every_s=0.01) as samples:
        assert enough.wait(timeout=20)
    assert samples == list(range(len(samples)))
    assert len(samples) > 4, "one more at the end"
