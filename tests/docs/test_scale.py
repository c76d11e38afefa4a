"""The compose profile `scale`: beside it a plain `docker compose up` stays as it is; its numbers agree with the program's and the page's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

import dockerfile
from app.adapters.master_key import parse_master_key
from app.cli import cli
from app.server import GRACE_S
from app.settings import Settings, is_loopback, load_settings
from dockerfile import ROOT

FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
BALANCER = (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")
PAGE = (
    (ROOT / "docs" / "docker.md")
    .read_text(encoding="utf-8")
    .partition("\n## Several replicas\n")[2]
    .partition("\n## ")[0]
)
OURS = ("replica", "schema")
"""Those of the image."""


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_a_plain_up_starts_what_it_did() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["vouch"]
    assert all(service["profiles"] == ["scale"] for name, service in SERVICES.items() if name != "vouch")
    # Compose reads the variables of the whole file, whatever the profile: one that must be set would stop a plain `up`.
    assert re.findall(r"\$\{\w+:?\?", re.sub(r"#.*", "", FILE.read_text(encoding="utf-8"))) == []


def test_the_file_fits_the_schema_of_compose() -> None:
    checked = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    told = subprocess.run(checked, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.parametrize("name", OURS)
def test_what_a_replica_is_set_to_starts_the_service(name: str) -> None:
    service = SERVICES[name]
    settings = load_settings(dockerfile.vouch_variables(dockerfile.environment() | service["environment"]))
    assert settings.store_url == "postgresql+psycopg://vouch@postgres/vouch"
    assert settings.bootstrap_key_file is None
    assert not settings.allow_keyless
    assert not is_loopback(settings.host)
    assert str(settings.master_key_file) == "/run/secrets/master_key"
    assert set(service["secrets"]) == set(COMPOSE["secrets"])
    assert service["entrypoint"][:2] == ["sh", "-c"]


def test_the_password_is_the_file_s_and_the_arguments_are_vouch_s(tmp_path: Path) -> None:
    shell, option, script, name = SERVICES["replica"]["entrypoint"]
    (tmp_path / "postgres_password").write_text("it's $secret\n", encoding="utf-8")
    (tmp_path / "vouch").write_text('#!/bin/sh\necho "$PGPASSWORD: $*"\n', encoding="utf-8")
    (tmp_path / "vouch").chmod(0o755)
    script = script.replace("$$", "$").replace("/run/secrets", str(tmp_path))
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    told = subprocess.check_output([shell, option, script, name, "keys", "list"], env=environ, text=True)
    assert told == "it's $secret: keys list\n"


@pytest.mark.parametrize("name", OURS)
def test_a_replica_may_no_more_than_the_one_service(name: str) -> None:
    alone, service = SERVICES["vouch"], SERVICES[name]
    for limit in ("read_only", "tmpfs", "cap_drop", "security_opt", "pids_limit", "image", "build"):
        assert service[limit] == alone[limit], limit
    assert int(service["stop_grace_period"].removesuffix("s")) > Settings().drain_s + GRACE_S
    # Two of one container would want one port, or one another's files.
    assert (service["ports"], service["volumes"]) == ([], [])
    assert service["networks"] == ["inside"]


def test_only_the_balancer_is_to_be_had_and_nothing_else_gets_out() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if service.get("ports")}
    assert published == {"vouch": ["127.0.0.1:8000:8000"], "balancer": ["127.0.0.1:8000:8000"]}
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if service.get("networks") != ["inside"]} == {
        "vouch",
        "balancer",
    }


def test_nobody_starts_before_what_it_needs() -> None:
    assert SERVICES["schema"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert SERVICES["replica"]["depends_on"] == {
        "postgres": {"condition": "service_healthy"},
        "schema": {"condition": "service_completed_successfully"},
    }
    assert SERVICES["balancer"]["depends_on"] == ["replica"]
    assert SERVICES["schema"]["restart"] == "no"


def test_the_connections_of_all_replicas_are_fewer_than_the_database_takes() -> None:
    most = re.search(r"At most (\d+): each may hold (\d+) connections .* takes (\d+)\.", PAGE)
    assert most is not None
    assert SERVICES["replica"]["deploy"]["replicas"] == 3 <= int(most[1])
    assert int(most[1]) * int(most[2]) < int(most[3])
    slots = re.search(r"server-template replica- (\d+) replica:(\d+) ", BALANCER)
    assert slots is not None
    assert int(slots[1]) >= int(most[1])
    assert int(slots[2]) == dockerfile.port()


def test_the_balancer_notices_a_replica_that_stops_before_it_takes_no_more_calls() -> None:
    looks = re.search(r"default-server check inter (\d+)s fall (\d+)", BALANCER)
    assert looks is not None
    assert int(looks[1]) * int(looks[2]) < Settings().drain_s
    assert "uri /readyz " in BALANCER


def test_images_are_pinned_and_no_password_is_in_the_file() -> None:
    for name in ("postgres", "balancer"):
        assert re.search(r":\D*\d+\.\d+", SERVICES[name]["image"]), name
    assert set(SERVICES["postgres"]["environment"]) == {"POSTGRES_USER", "POSTGRES_PASSWORD_FILE"}
    assert all(secret["file"] == f"./secrets/{name}" for name, secret in COMPOSE["secrets"].items())
    assert "/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()


def test_the_page_s_command_makes_the_secrets(tmp_path: Path) -> None:
    subprocess.run(["bash", "-euc", blocks()[0]], cwd=tmp_path, check=True)
    folder = tmp_path / "secrets"
    assert {path.name for path in folder.iterdir()} == set(COMPOSE["secrets"])
    parse_master_key((folder / "master_key").read_text(encoding="utf-8"), "the page")
    assert len((folder / "postgres_password").read_text(encoding="utf-8").strip()) >= 32
    # Whoever runs in a container reads them; on the machine nobody else gets into the folder.
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_page_starts_services_and_commands_that_there_are() -> None:
    tree: Any = typer.main.get_command(cli)
    known = set(tree.commands)
    lines = [line for block in blocks() for line in block.splitlines() if line.startswith("docker compose")]
    ran = [re.search(r" run --rm (?:--build )?(\w+) (\S+)", line) for line in lines]
    assert {found[1] for found in ran if found} == {"replica"}
    assert {found[2] for found in ran if found} <= known
    assert {SERVICES[name]["command"][0] for name in OURS} <= known
    ups = [line.split()[-1] for line in lines if " up " in line]
    assert set(ups) == {"balancer"}
    assert all("--profile scale " in line for line in lines)
