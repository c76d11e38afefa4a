"""The command line, run in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from app.cli import cli


def run(*arguments: object, stdin: bytes | None = None, environ: Mapping[str, str] | None = None) -> Result:
    """With no setting of this machine, on a wide terminal."""
    unset: dict[str, str | None] = {name: None for name in os.environ if name.startswith("VOUCH_")}
    return CliRunner().invoke(
        cli, list(map(str, arguments)), input=stdin, env={**unset, "COLUMNS": "200", **(environ or {})}
    )


def told(result: Result, status: int = 0) -> list[Any]:
    """The lines of JSON."""
    assert result.exit_code == status, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def written(folder: Path, **clips: bytes) -> list[Path]:
    """Files of these clips, by name and in this order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.wav" for name in clips]
    for path, data in zip(paths, clips.values(), strict=True):
        path.write_bytes(data)
    return paths
