"""Several processes that want one result compute it once."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest

from training.once import compute_once


def _run(result: Path, calls: Path, barrier: object) -> None:
    def compute() -> None:
        with calls.open("a") as file:
            file.write("x")
        time.sleep(0.3)
        result.write_text("done")

    barrier.wait()  # type: ignore[attr-defined]
    compute_once(result, compute)
    assert result.read_text() == "done"


def test_processes_that_begin_together_compute_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    result, calls = tmp_path / "kept" / "result.npz", tmp_path / "calls"
    processes = [context.Process(target=_run, args=(result, calls, barrier)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert calls.read_text() == "x"


def test_what_is_there_is_not_computed(tmp_path: Path) -> None:
    result = tmp_path / "result.npz"
    result.write_text("kept")
    compute_once(result, lambda: pytest.fail("computed again"))
    assert result.read_text() == "kept"


def test_after_a_failure_the_next_one_computes(tmp_path: Path) -> None:
    result = tmp_path / "result.npz"

    def fail() -> None:
        raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        compute_once(result, fail)
    compute_once(result, lambda: result.write_text("done") and None)
    assert result.read_text() == "done"
