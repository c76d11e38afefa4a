"""vouch-train refuses a wrong command with what was wrong and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from training.cli import app


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prepare", "tapes:/x"], "KIND one of"),
        (["train", "--recipe", "missing"], "there is no recipe"),
        (["train", "--data", "nowhere"], "make it with `vouch-train prepare`"),
        (["calibrate", "--encoder", "nowhere"], "neither a bundle, nor a run's folder, nor a checkpoint"),
        (["calibrate", "--encoder", ".", "--out", "folder"], "is no bundle to be written anew"),
        (["evaluate", "--encoder", ".", "--trials", "none.txt", "--root", "."], "there is no trial list"),
    ],
)
def test_a_wrong_command_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 3
    assert message in " ".join(result.output.split())
