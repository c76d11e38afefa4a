"""`vouch migrate`: what it says to people and to programs, and what it never says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import make_url

from cli_runs import run, told
from kept_stores import kept_store
from samples import create, enroll

PASSWORD = "hunter2"


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    """Of an installation with alice, who gave a clip."""
    with kept_store(tmp_path / "data") as store:
        create(store, "alice")
        enroll(store, "alice", 1)
    return {"VOUCH_DATA_DIR": str(tmp_path / "data")}


def test_there_and_back(environ: Mapping[str, str], postgres_url: str, tmp_path: Path) -> None:
    with kept_store(tmp_path / "data"):
        beside = run("migrate", "--to", postgres_url, environ=environ)
    assert beside.exit_code == 0, beside.output
    assert "speakers: 1 rows; 1 copied, 0 updated, 0 deleted, 1 compared." in beside.output
    assert "NOT COMPLETE: a service still has " in beside.output

    # Where VOUCH_DATABASE_URL is set for the time afterwards, the source is the embedded database all the same.
    complete = run("migrate", "--to", postgres_url, environ={**environ, "VOUCH_DATABASE_URL": postgres_url})
    assert complete.exit_code == 0, complete.output
    assert "speakers: 1 rows; 0 copied, 0 updated, 0 deleted, 1 compared." in complete.output
    assert (
        f"Complete: every row of {tmp_path / 'data' / 'vouch.db'} is in postgresql+psycopg://postgres@"
        in complete.output
    )

    new = tmp_path / "new" / "vouch.db"
    (answer,) = told(run("migrate", "--from", postgres_url, "--to", f"sqlite:///{new}", "--json", environ=environ))
    assert (answer["complete"], answer["audit_entries"]) == (True, 0)
    counts = {"rows": 1, "copied": 1, "updated": 0, "deleted": 0, "verified": 1}
    assert answer["tables"]["speakers"] == answer["tables"]["enrollments"] == counts
    assert new.is_file()


def test_a_password_is_in_nothing_that_is_said(environ: Mapping[str, str], postgres_url: str, tmp_path: Path) -> None:
    reachable = make_url(postgres_url).set(password=PASSWORD)
    nowhere = reachable.set(host="127.0.0.1", port=1, query={"connect_timeout": "1"})
    for url in (nowhere, nowhere.set(password=None).update_query_dict({"password": PASSWORD})):
        for arguments in (["--to"], ["--to", f"sqlite:///{tmp_path}/new.db", "--from"]):
            failed = run("migrate", *arguments, url.render_as_string(hide_password=False), environ=environ)
            assert failed.exit_code == 2
            assert failed.output.startswith("vouch: The database ")
            assert PASSWORD not in failed.output
    done = run("migrate", "--to", reachable.render_as_string(hide_password=False), environ=environ)
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output


def test_without_a_database_it_says_what_to_name(environ: Mapping[str, str]) -> None:
    failed = run("migrate", environ=environ)
    assert failed.exit_code == 2
    assert failed.output.startswith("vouch: Name the database: --to postgresql+psycopg://")
