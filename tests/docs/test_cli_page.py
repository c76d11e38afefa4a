"""docs/cli.md has every command, with its arguments and options, as `vouch --help` shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from app.cli import cli
from app.cli_clips import AUDIO_SUFFIXES
from app.cli_manifest import COLUMNS
from app.cli_status import STATUS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def commands(command: Any, path: str = "vouch") -> Iterator[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    for name, one in below.items():
        yield from commands(one, f"{path} {name}")


def row(path: str, command: Any) -> str:
    words = [path]
    options = []
    for param in command.params:
        if param.param_type_name == "option":
            options.append(f"`{param.opts[0]}`")
        else:
            word = (param.metavar or param.name).upper() + ("…" if param.nargs == -1 else "")
            words.append(word if param.required else f"[{word}]")
    return f"| `{' '.join(words)}` | {' '.join(options)} |"


def test_the_table_is_the_tree_of_commands() -> None:
    found = [line for line in PAGE.splitlines() if line.startswith("| `vouch ")]
    assert found == [row(path, command) for path, command in commands(typer.main.get_command(cli))]


def test_the_statuses_are_those_of_the_code() -> None:
    for outcome, status in STATUS.items():
        assert f"| {status} | `{outcome}`" in PAGE


def test_what_a_folder_and_a_manifest_hold_is_named() -> None:
    found = re.search(r"names end in (.*?)\.\n", PAGE, flags=re.DOTALL)
    assert found
    assert set(re.findall(r"`([^`]+)`", found[1])) == AUDIO_SUFFIXES
    assert f"`{','.join(COLUMNS)}`" in PAGE
