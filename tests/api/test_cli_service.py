"""`vouch backup`, `restore` and `rotate-master-key` as people call them: what is said, and the status."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.adapters.sql_secrets import MASTER_KEY_FILE
from app.cli import cli
from kept_stores import kept_store
from samples import create, enroll

MADE = base64.b64encode(bytes(range(32, 64))).decode()


def run(data: Path, *arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(
        cli, list(arguments), env={"VOUCH_DATA_DIR": str(data), "VOUCH_MASTER_KEY": "", **environ}
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Alice gave a clip, and Bob was made."""
    folder = tmp_path / "data"
    with kept_store(folder) as store:
        create(store, "alice", "bob")
        enroll(store, "alice", 1)
    return folder


def test_a_new_master_key_in_the_file_takes_the_place_of_the_old_one(data: Path) -> None:
    old = (data / MASTER_KEY_FILE).read_text()
    result = run(data, "rotate-master-key")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Sealed anew: ")
    assert result.stdout.endswith(" secrets of the service and 2 speakers' keys.\n")
    assert (data / MASTER_KEY_FILE).read_text() != old


def test_a_new_master_key_in_the_environment_makes_the_old_one_needless(data: Path) -> None:
    old = (data / MASTER_KEY_FILE).read_text().strip()
    (data / MASTER_KEY_FILE).unlink()
    result = run(data, "rotate-master-key", VOUCH_MASTER_KEY=f"{MADE} {old}")
    assert result.exit_code == 0, result.output
    assert "What stands behind the first master key is needed no more." in result.stdout
    assert run(data, "rotate-master-key", VOUCH_MASTER_KEY=old).exit_code == 2
    assert run(data, "rotate-master-key", VOUCH_MASTER_KEY=MADE).exit_code == 0


def test_a_backup_says_what_is_in_it_and_a_restore_what_became_of_it(data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    made = run(data, "backup", str(backup))
    assert made.exit_code == 0, made.output
    assert f"{backup}: 2 speakers, 1 enrollments, 0 erasures, schema " in made.stdout
    assert "The master key is not in it." in made.stdout
    again = run(data, "backup", str(backup))
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr == f"vouch: {backup} is there already. Name another file, or replace it with --force.\n"
    with kept_store(data) as store:
        store.erase_speaker("default", "alice")
    put_back = run(data, "restore", str(backup))
    assert put_back.exit_code == 0, put_back.output
    assert "Restored 1 speakers and 0 enrollments, schema " in put_back.stdout
    assert "; 1 that were erased since the backup are erased again." in put_back.stdout
    assert f"The replaced database is {data / 'vouch.db.before-restore'}. Delete it when" in put_back.stdout


def test_a_restore_over_a_database_that_cannot_be_read_says_what_is_not_known(data: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    run(data, "backup", str(backup))
    (data / "vouch.db").write_bytes(b"no database " * 100)
    put_back = run(data, "restore", str(backup), "--discard")
    assert put_back.exit_code == 0, put_back.output
    assert "The replaced database could not be read." in put_back.stdout
    assert "The replaced database is" not in put_back.stdout
    assert not (data / "vouch.db.before-restore").exists()
