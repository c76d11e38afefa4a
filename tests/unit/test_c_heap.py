"""Large blocks go back to the system, in a process of its own: what a heap keeps depends on all that was freed before."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from app.adapters.c_heap import LARGE_BYTES

PROGRAM = """
import resource
import sys
from pathlib import Path
from threading import Thread

import numpy as np

from app.adapters.c_heap import LARGE_BYTES, return_large_blocks

N_BLOCKS = 8


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def use_and_free():
    np.ones(3 * LARGE_BYTES, dtype=np.uint8)  # freed at once: glibc's own thresholds rise with it
    before = resident_bytes()
    large, small = [], []
    for _ in range(N_BLOCKS):
        large.append(np.ones(2 * LARGE_BYTES, dtype=np.uint8))
        small.append(np.ones(4096, dtype=np.uint8))  # lies behind the large one, and stays
    del large
    print(resident_bytes() - before)


if "mended" in sys.argv:
    return_large_blocks()
thread = Thread(target=use_and_free)
thread.start()
thread.join()
"""

pytestmark = pytest.mark.skipif(
    "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}),
    reason="only glibc has heaps that keep large blocks",
)


def kept_bytes(*arguments: str) -> int:
    """What a thread's blocks leave resident of 16 times LARGE_BYTES."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    program = f"import sys; sys.path[:] = {sys.path!r}\n{PROGRAM}"
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], env=environ, capture_output=True, text=True, check=True
    )
    return int(ran.stdout)


def test_large_blocks_that_are_freed_stay_in_no_heap() -> None:
    assert kept_bytes("mended") < LARGE_BYTES


def test_by_itself_the_c_library_keeps_them() -> None:
    """If this fails, `return_large_blocks` may have nothing to do any more."""
    assert kept_bytes() > 8 * LARGE_BYTES
