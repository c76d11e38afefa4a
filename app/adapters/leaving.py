"""Waiting for a connection to PostgreSQL that was closed, or whose process was killed, to be gone there too."""

from __future__ import annotations

import time
from collections.abc import Callable

LEAVING_S = 2.0
_LOOK_S = 0.1


def soon(is_so: Callable[[], bool]) -> bool:
    """Whether it is so, now or within `LEAVING_S`."""
    end_s = time.monotonic() + LEAVING_S
    while not is_so():
        if time.monotonic() > end_s:
            return False
        time.sleep(_LOOK_S)  # PostgreSQL tells nobody that a connection of another process is gone
    return True
