"""Work on every row of a corpus, in their order, by one process or several."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch

K = TypeVar("K")
R = TypeVar("R")


@contextmanager
def mapped(make: Callable[[K], Callable[[int], R]], key: K, n_rows: int, workers: int) -> Iterator[Iterator[R]]:
    """make(key)(row number) for every row, in order, whoever computes it; each process calls `make` once."""
    if workers <= 1:
        yield map(make(key), range(n_rows))
        return
    # Spawned: a forked copy of a process that has run PyTorch's threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=partial(_start, make, key)) as pool:
        yield pool.map(_work_on, range(n_rows), chunksize=8)


_work: Callable[[int], Any] | None = None
"""A worker process's own."""


def _start(make: Callable[[Any], Callable[[int], Any]], key: Any) -> None:
    global _work  # noqa: PLW0603 - what a pool's initialiser makes can reach its tasks in no other way
    torch.set_num_threads(1)
    _work = make(key)


def _work_on(row: int) -> Any:
    assert _work is not None
    return _work(row)
