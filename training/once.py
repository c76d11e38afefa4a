"""What takes minutes to compute and is kept beside a data set: computed once, though several processes want it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

PATIENCE_S = 1.0
"""How long to wait for another run's result before saying so."""


def compute_once(result: Path, compute: Callable[[], None]) -> None:
    """Calls `compute`, which is to write `result`, unless it is there or another process on this machine writes it now.

    In that case it waits for the other, and computes itself only where the other gave up. The folder is made.
    """
    if result.is_file():
        return
    result.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(result.with_suffix(".lock"))
    try:
        lock.acquire(timeout=PATIENCE_S)
    except Timeout:
        Console(stderr=True).print(f"Another process is computing {result.name}; waiting for it")
        lock.acquire()
    try:
        if not result.is_file():
            compute()
    finally:
        lock.release()
