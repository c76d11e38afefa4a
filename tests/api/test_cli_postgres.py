"""The operator's commands on PostgreSQL, beside a service that runs: what is said, and the status."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sqlalchemy import create_engine, make_url, text
from typer.testing import Result

import cli_runs
from app.adapters.database import migrate
from app.adapters.master_key import parse_master_key
from app.adapters.schema import migrate_schema
from app.adapters.sql_secrets import open_master_key
from app.adapters.sql_store import open_store
from app.components import open_keys
from app.records import DEFAULT_TENANT as ME
from app.settings import Settings, load_settings
from app.usecases.keys import ApiKeys
from model.errors import VouchError
from samples import create, enroll

OLD, NEW = "A" * 43 + "=", "B" * 42 + "A="


@pytest.fixture(scope="module")
def database_url(postgres: PostgresServer) -> Iterator[str]:
    """Of one database for the tests of this module, each of which leaves more in it."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def environ(database_url: str, tmp_path: Path) -> dict[str, str]:
    return environment(database_url, tmp_path)


@pytest.fixture
def replica(environ: dict[str, str]) -> Iterator[ApiKeys]:
    """The keys as a running service has them."""
    with open_keys(load_settings(environ)) as keys:
        yield keys


def environment(url: str, folder: Path, master_key: str = OLD) -> dict[str, str]:
    return {"VOUCH_DATABASE_URL": url, "VOUCH_DATA_DIR": str(folder / "data"), "VOUCH_MASTER_KEY": master_key}


def run(environ: dict[str, str], *arguments: object) -> Result:
    return cli_runs.run(*arguments, environ=environ)


def execute(url: str, statement: str) -> None:
    engine = create_engine(url)
    with closing(engine.connect()) as connection, connection.begin():
        connection.execute(text(statement))
    engine.dispose()


def is_accepted(keys: ApiKeys, key: str) -> bool:
    """As a request asks."""
    keys.refresh(key)
    try:
        keys.authenticate(key)
    except VouchError:
        return False
    return True


def test_keys_are_made_and_revoked_beside_a_service(environ: dict[str, str], replica: ApiKeys) -> None:
    made = json.loads(run(environ, "keys", "create", "n", "--scope", "verify", "--json").stdout)
    key_id = made["about"]["key_id"]
    assert is_accepted(replica, made["key"])
    new = json.loads(run(environ, "keys", "rotate", key_id, "--overlap-hours", 1, "--json").stdout)
    assert is_accepted(replica, made["key"])
    assert is_accepted(replica, new["key"])
    assert run(environ, "keys", "revoke", new["about"]["key_id"]).exit_code == 0
    assert not is_accepted(replica, new["key"])
    assert key_id in run(environ, "keys", "list").stdout


def test_the_trail_of_all_processes_is_listed_and_checked(environ: dict[str, str], replica: ApiKeys) -> None:
    first = replica.create("by the service", "acme", ["verify"]).key.key_id
    second = json.loads(run(environ, "keys", "create", "n", "--scope", "verify", "--json").stdout)["about"]["key_id"]
    assert run(environ, "keys", "revoke", "00").exit_code == 2
    replica.revoke(first)
    listed = [json.loads(line) for line in run(environ, "audit", "list", "--json").stdout.splitlines()]
    assert [(one["action"], one["outcome"], one["about"]) for one in listed[-4:]] == [
        ("create_key", "created", first),
        ("create_key", "created", second),
        ("revoke_key", "key_not_found", "00"),
        ("revoke_key", "revoked", first),
    ]
    (row,) = run(environ, "audit", "list", "--tenant", "acme", "--action", "create_key").stdout.splitlines()
    assert first in row
    whole = run(environ, "audit", "check")
    assert whole.exit_code == 0
    assert "Whole: " in whole.stdout
    assert "chains, " in whole.stdout
    (unclosed,) = [line for line in whole.stdout.splitlines() if line.startswith("Not closed: ")]
    assert "2 entries" in unclosed
    macs = json.loads(run(environ, "audit", "check", "--json").stdout)["last_mac"]
    assert run(environ, "audit", "check", "--holds", macs).exit_code == 0
    execute(environ["VOUCH_DATABASE_URL"], f"DELETE FROM audit_entries WHERE line LIKE '%created%{first}%'")
    broken = run(environ, "audit", "check", "--holds", macs)
    assert broken.exit_code == 1
    assert "NOT WHOLE: chain " in broken.stderr


def test_backups_are_left_to_the_server_s_tools(environ: dict[str, str], tmp_path: Path) -> None:
    for command in ("backup", "restore"):
        said = run(environ, command, tmp_path / "file.db")
        assert said.exit_code == 2
        for what in ("pg_dump", "vouch erasures export", "vouch erasures apply"):
            assert what in said.stderr


def test_erasures_are_carried_by_the_commands(environ: dict[str, str], tmp_path: Path) -> None:
    with open_keys(load_settings(environ)):
        said = run(environ, "erasures", "export", tmp_path / "erasures")
    assert (said.exit_code, said.stdout) == (0, f"{tmp_path / 'erasures'}: 0 erasures, 0 of them new.\n")
    failed = run(environ, "erasures", "apply", tmp_path / "erasures")
    assert failed.exit_code == 2
    assert "There is no file" in failed.stderr
    with closing(open_store(environ["VOUCH_DATABASE_URL"], parse_master_key(OLD, "a test"))) as store:
        create(store, "alice")
    said = run(environ, "erasures", "apply", environ["VOUCH_DATABASE_URL"])
    assert said.stdout.startswith("Of 0 erasures this database lacked 0; 0 speakers")


def test_the_master_key_changes_beside_a_service_that_has_both(postgres_url: str, tmp_path: Path) -> None:
    both = environment(postgres_url, tmp_path, f"{NEW} {OLD}")
    only_old, only_new = (environment(postgres_url, tmp_path, key) for key in (OLD, NEW))
    with open_keys(load_settings(only_old)):
        alone = run(only_old, "rotate-master-key")
    assert alone.exit_code == 2
    assert "There is one master key" in alone.stderr
    with closing(open_store(postgres_url, parse_master_key(f"{NEW} {OLD}", "a test"))) as service:
        with closing(open_store(postgres_url, parse_master_key(OLD, "a test"))) as before:
            create(before, "alice")
            enroll(before, "alice", 1)
        said = run(both, "rotate-master-key")
        assert "Sealed anew: 2 secrets of the service and 1 speakers' keys." in said.stdout
        assert "What stands behind the first master key is needed no more." in said.stdout
        assert service.find_reference(ME, "alice") is not None
        create(service, "bob")
    assert run(only_old, "keys", "list").exit_code == 2
    with open_keys(load_settings(only_new)):
        pass
    assert "0 speakers' keys" in run(both, "rotate-master-key").stdout


def test_the_schema_is_brought_up_once_and_told(postgres_url: str, tmp_path: Path) -> None:
    environ = environment(postgres_url, tmp_path)
    settings, told = load_settings(environ), []
    threads = [threading.Thread(target=lambda: told.append(migrate_schema(settings))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 2
    assert {one.after for one in told} == {told[0].after} != {None}
    with open_keys(settings):
        again = run(environ, "migrate-schema")
    assert (again.exit_code, again.stdout) == (0, f"The schema is at revision {told[0].after} already.\n")
    other_key = run(environment(postgres_url, tmp_path, NEW), "migrate-schema")
    assert other_key.exit_code == 2
    assert "sealed under another master key" in other_key.stderr
    execute(postgres_url, "UPDATE alembic_version SET version_num = '9999'")
    newer = run(environ, "migrate-schema")
    assert newer.exit_code == 2
    assert "written by a newer release" in newer.stderr


def test_the_schema_of_a_file_is_made_and_not_beside_a_service(tmp_path: Path) -> None:
    environ = {"VOUCH_DATA_DIR": str(tmp_path / "data")}
    made = run(environ, "migrate-schema")
    assert made.exit_code == 0
    assert made.stdout.startswith("The schema went from nothing to revision ")
    assert run(environ, "migrate-schema").stdout.endswith("already.\n")
    with open_keys(Settings(data_dir=tmp_path / "data")):
        assert "already open in process" in run(environ, "migrate-schema").stderr


def test_an_older_schema_is_brought_to_this_one(tmp_path: Path) -> None:
    environ = {"VOUCH_DATA_DIR": str(tmp_path)}
    master = open_master_key(load_settings(environ), may_make=True)
    path = tmp_path / "vouch.db"
    path.touch()
    migrate(make_url(f"sqlite:///{path}"), master, revision="0007")
    said = run(environ, "migrate-schema").stdout
    assert said.startswith("The schema went from 0007 to revision ")
