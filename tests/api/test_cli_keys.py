"""`vouch keys`: on the database where no service runs, by the service where one does, and a sentence where neither goes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.access import SCOPES
from app.adapters.database import open_database
from app.cli import cli
from app.components import Components, open_keys
from app.settings import Settings
from samples import MASTER

NOBODY = "http://127.0.0.1:9"


def run(*arguments: str, **environ: str) -> Result:
    unset: dict[str, str | None] = {"VOUCH_URL": None, "VOUCH_API_KEY": None, "COLUMNS": "200"}
    return CliRunner().invoke(cli, ["keys", *arguments], env={**unset, **environ})


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_without_a_service_the_database_is_asked(tmp_path: Path) -> None:
    here = {"VOUCH_DATA_DIR": str(tmp_path / "data")}
    made = told(run("create", "call centre", "--scope", "verify", "--tenant", "acme", "--json", **here))
    key_id = made["about"]["key_id"]
    assert made["key"].startswith(f"vouch_{key_id}_")
    shown = run("list", **here)
    assert key_id in run("list", COLUMNS="80", **here).stdout
    assert all(word in shown.stdout for word in (key_id, "call centre", "acme", "verify", "valid"))
    new = run("rotate", key_id, **here)
    assert new.stdout.startswith("vouch_")
    assert told(run("revoke", new.stdout.split("_")[1], "--json", **here))["revoked"]
    listed = run("list", "--json", **here)
    assert [key["revoked_at"] is None for key in told(listed)["keys"]] == [False, False]
    assert made["key"].split("_")[2] not in listed.stdout + shown.stdout


def test_the_list_says_what_became_of_each_key(tmp_path: Path) -> None:
    here = {"VOUCH_DATA_DIR": str(tmp_path)}
    for days, name in ((None, "lasting"), ("3", "ending")):
        told(run("create", name, "--scope", "verify", "--json", *(("--expires-days", days) if days else ()), **here))
    with open_keys(Settings(data_dir=tmp_path)) as stored:
        stored.create("over", "default", ["verify"], datetime(2026, 1, 2, 3, 4, tzinfo=UTC))
        stored.revoke(stored.create("taken", "default", ["verify"]).key.key_id)
    lines = run("list", **here).stdout.splitlines()
    rows = {name: line for name in ("lasting", "ending", "over", "taken") for line in lines if name in line}
    assert "valid" in rows["lasting"]
    assert "valid to 20" in rows["ending"]
    assert "expired 2026-01-02 03:04" in rows["over"]
    assert "revoked 20" in rows["taken"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["create", "n", "--scope", "fly"], "scopes"),
        (["create", "n", "--scope", "verify", "--tenant", "a b"], "tenant"),
        (["revoke", "0f"], "There is no key '0f'."),
        (["list", "--url", "file:///etc"], "it must be such as http://"),
        (["list", "--url", NOBODY], "cannot be reached"),
        (["list", "--url", NOBODY, "--key-file", "/nowhere"], "The key file /nowhere cannot be read"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    result = run(*arguments, VOUCH_DATA_DIR=str(tmp_path))
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_where_a_service_has_the_database_it_says_what_to_do(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/vouch.db", MASTER)
    result = run("list", VOUCH_DATA_DIR=str(tmp_path))
    database.close()
    assert result.exit_code == 2
    assert "VOUCH_URL" in result.stderr
    assert "VOUCH_API_KEY" in result.stderr


def test_beside_a_service_the_service_is_asked(served: tuple[str, Components], tmp_path: Path) -> None:
    url, parts = served
    admin = parts.keys.create("admin", "default", SCOPES)
    (tmp_path / "key").write_text(admin.text + "\n")
    by_file = ["--url", url, "--key-file", str(tmp_path / "key")]
    by_variable = {"VOUCH_URL": url, "VOUCH_API_KEY": admin.text}
    made = told(run("create", "app", "--scope", "verify", "--expires-days", "2", "--json", *by_file))
    new = told(run("rotate", made["about"]["key_id"], "--overlap-hours", "1", "--json", **by_variable))
    assert parts.keys.authenticate(new["key"]).scopes == {"verify"}
    assert run("revoke", new["about"]["key_id"], **by_variable).exit_code == 0
    states = [key["revoked_at"] is None for key in told(run("list", "--json", **by_variable))["keys"]]
    assert states == [True, True, False]
    refused = run("list", VOUCH_URL=url, VOUCH_API_KEY=made["key"])
    assert refused.exit_code == 2
    assert "'admin'" in refused.stderr
    assert made["key"] not in refused.output
