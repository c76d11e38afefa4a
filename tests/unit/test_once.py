"""Several processes that want one result compute it once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from training.once import compute_once

LIMIT_S = 30.0


def test_whoever_comes_while_it_is_computed_waits_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is one on an open file, so two threads are to it what two processes are."""
    result, calls = tmp_path / "kept" / "result.npz", []
    is_computing, is_waiting = threading.Event(), threading.Event()
    said: list[str] = []

    def compute() -> None:
        calls.append("computed")
        is_computing.set()
        assert is_waiting.wait(LIMIT_S), "the second one did not wait"
        result.write_text("done")

    def say(text: str) -> None:
        said.append(text)
        is_waiting.set()

    monkeypatch.setattr("training.once.PATIENCE_S", 0.01)
    monkeypatch.setattr("training.once.Console", lambda **_: SimpleNamespace(print=say))
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(compute_once, result, compute)
        assert is_computing.wait(LIMIT_S)
        pool.submit(compute_once, result, compute).result(LIMIT_S)
        first.result(LIMIT_S)
    assert calls == ["computed"]
    assert result.read_text() == "done"
    assert said == ["Another process is computing result.npz; waiting for it"]


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
    compute_once(result, result.touch)
    assert result.is_file()
