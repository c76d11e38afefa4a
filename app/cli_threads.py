"""How many threads the numeric libraries take, which must be said before any of them is loaded."""

from __future__ import annotations

import os


def one_thread_per_library() -> None:
    """Workers side by side beat threads within one clip. Each library reads this as it is loaded, which is yet to come:
    later on it could only be told for one thread at a time.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
