"""docs/privacy.md names every column that is stored, and no call, command, setting or file that there is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary
from typer.testing import CliRunner

import fake_audio
from app.adapters.backup import back_up, database_file
from app.adapters.restore import restore
from app.adapters.tables import METADATA
from app.cli import cli
from app.main import create_app
from app.records import DEFAULT_TENANT as ME
from app.settings import Settings, variable
from kept_stores import kept_store

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"`([^`\n]+)`", PAGE) + re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)
STORED = re.findall(r"^\| `(\w+)` \| (.*?) \| .* \| (.*?) \| .*? \|$", PAGE, flags=re.MULTILINE)
"""Table, its columns, how they are sealed: one row of the page each."""
COLUMNS = [(table.name, column.name) for table in METADATA.sorted_tables for column in table.columns]


def how_sealed(table: str, column: str) -> list[str]:
    return [how for name, columns, how in STORED if name == table and f"`{column}`" in columns.split(", ")]


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_every_column_that_is_stored_is_named_once(table: str, column: str) -> None:
    assert len(how_sealed(table, column)) == 1


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_what_lies_in_clear_is_said_to(table: str, column: str) -> None:
    """Whatever is sealed or hashed is bytes, or the mark of an erasure."""
    is_bytes = isinstance(METADATA.tables[table].columns[column].type, LargeBinary)
    is_in_clear = not is_bytes and (table, column) != ("erasures", "mark")
    assert (how_sealed(table, column) == ["**no**"]) == is_in_clear


def test_every_setting_that_it_names_exists() -> None:
    named = set(re.findall(r"VOUCH_\w+", PAGE))
    assert named
    assert named <= {variable(name) for name in Settings.model_fields}


def test_every_command_that_it_names_exists() -> None:
    named = {words for text in QUOTED for words in re.findall(r"\bvouch((?: [a-z][a-z-]+)+)", text)}
    assert named
    for words in named:
        shown = CliRunner().invoke(cli, [*words.split(), "--help"])
        assert shown.exit_code == 0, f"vouch{words}"


def test_every_call_that_it_names_exists() -> None:
    paths = create_app(fake_audio.settings(), fake_audio.components()).openapi()["paths"]
    named = {call for text in QUOTED for call in re.findall(r"^(GET|POST|PATCH|DELETE) (/v1/\S+)$", text)}
    assert named
    for method, path in named:
        assert method.lower() in paths.get(path, {}), f"{method} {path}"


def test_every_source_that_it_names_exists() -> None:
    named = [text for text in QUOTED if text.endswith(".py")]
    assert named
    for path in named:
        assert (ROOT / path).is_file(), path


def test_every_file_of_a_data_directory_is_named(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with kept_store(settings.data_dir) as store:
        store.create_speaker(ME, "alice", "Alice", {}, None)
        back_up(database_file(settings.store_url), tmp_path / "backup.db")
        store.erase_speaker(ME, "alice")
    restore(tmp_path / "backup.db", settings)
    left = {file.name for file in settings.data_dir.iterdir()}
    assert {"vouch.db", "erasures.log", "vouch.db.before-restore"} <= left
    assert left <= set(QUOTED)
