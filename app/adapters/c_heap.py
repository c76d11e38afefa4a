"""What the C library keeps of large blocks that were freed: samples, features, uploads."""

from __future__ import annotations

import ctypes
import sys

LARGE_BYTES = 4 * 1024 * 1024
"""Few blocks of a clip under 20 s are as large, so only longer ones pay for new pages: 40 s take about 2 % more time, where
a quarter of this took a tenth more. The encoder's runtime keeps blocks of its own, of a few sizes."""
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def return_large_blocks() -> None:
    """From now on the system gets large blocks back as they are freed. Does nothing where the C library is not glibc.

    By itself glibc raises both its thresholds with every large block that is freed, up to 32 and 64 MiB. The next ones
    then come out of a heap, of which every thread has its own, and each heap keeps the most it ever held: memory grows
    for as long as long clips go on to meet in another thread, or in more threads at once, than any before them.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none, and keeps no large blocks
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)
