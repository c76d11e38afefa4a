"""The Dockerfile and the compose file agree with the program, and the health check tells ready from not ready."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import yaml

from app.server import GRACE_S
from app.settings import Settings, is_loopback, load_settings, variable
from dockerfile import ROOT, arguments, environment, final_stage, user, vouch_variables

COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICE: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]["vouch"]
"""What a plain `docker compose up` starts; `test_scale.py` is about the others."""
ENVIRONMENT: dict[str, str] = environment() | SERVICE.get("environment", {})
SETTINGS = {variable(field) for field in Settings.model_fields}


def test_what_image_and_compose_set_are_settings_that_start_the_service() -> None:
    settings = load_settings(vouch_variables(ENVIRONMENT))
    assert vouch_variables(ENVIRONMENT).keys() <= SETTINGS
    assert not is_loopback(settings.host)
    assert str(settings.port) == arguments("EXPOSE")[0]
    assert [str(settings.data_dir)] == arguments("VOLUME")
    assert f"COPY bundles/default {settings.bundle}" in [f"{name} {text}" for name, text in final_stage()]


def test_the_image_starts_with_a_key_and_compose_publishes_on_loopback_only() -> None:
    settings = load_settings(vouch_variables(ENVIRONMENT))
    assert not settings.allow_keyless
    assert settings.bootstrap_key_file is not None
    assert settings.bootstrap_key_file.parent == settings.data_dir
    assert str(settings.bootstrap_key_file) in COMPOSE
    assert SERVICE["ports"]
    for entry in SERVICE["ports"]:
        host, _, inside = entry.split(":")
        assert is_loopback(host)
        assert inside == arguments("EXPOSE")[0]


def test_compose_writes_to_the_volume_and_to_tmp_only() -> None:
    assert SERVICE["read_only"] is True
    assert (SERVICE["tmpfs"], SERVICE["volumes"]) == (["/tmp"], [f"data:{arguments('VOLUME')[0]}"])
    assert (SERVICE["cap_drop"], SERVICE["security_opt"]) == (["ALL"], ["no-new-privileges:true"])


def test_compose_waits_longer_at_stop_than_the_service_does() -> None:
    assert int(SERVICE["stop_grace_period"].removesuffix("s")) > Settings().drain_s + GRACE_S


def test_the_image_runs_a_program_of_the_package_as_an_unprivileged_user() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    last = dict(final_stage())
    assert json.loads(last["ENTRYPOINT"])[0] in project["scripts"]
    # A number: an orchestrator that refuses root cannot tell who a name is.
    uid, gid = user()
    assert uid > 0
    assert gid > 0
    assert re.search(rf"useradd --uid {uid} ", last["RUN"])


def test_everything_that_is_copied_is_let_into_the_build_and_the_lab_is_not() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(line for line in ignore if not line.startswith("#")) == "*"
    allowed = {line.removeprefix("!") for line in ignore if line.startswith("!")}
    sources = {name for text in arguments("COPY") if "--from" not in text for name in text.split()[:-1]}
    assert sources == allowed - {"bundles"}
    assert not {name for name in sources if name.startswith(("training", "tests", "data", "runs"))}


def test_the_cpu_build_is_the_default_in_both_and_may_be_left_out() -> None:
    index = arguments("ARG")[1].partition("TORCH_INDEX=")[2]
    assert index == "https://download.pytorch.org/whl/cpu"
    assert f"TORCH_INDEX: ${{TORCH_INDEX-{index}}}" in COMPOSE
    assert any('${TORCH_INDEX:+--index-url "${TORCH_INDEX}"}' in text for text in arguments("RUN"))


@contextmanager
def answering(status: int) -> Iterator[int]:
    """A server on loopback that gives every GET this status; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def health(port: int) -> int:
    """Exit status of the image's health check. A proxy is set, which must not be asked."""
    command = json.loads(arguments("HEALTHCHECK")[0].partition("CMD ")[2])
    assert command[:2] == ["python", "-c"]
    environ = os.environ | {"VOUCH_PORT": str(port), "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    return subprocess.run([sys.executable, *command[1:]], env=environ, capture_output=True, check=False).returncode


@pytest.mark.parametrize(("status", "expected"), [(200, 0), (503, 1), (404, 1)])
def test_the_health_check_follows_readyz(status: int, expected: int) -> None:
    with answering(status) as port:
        assert health(port) == expected


def test_the_health_check_fails_where_nothing_listens() -> None:
    with answering(200) as port:
        pass
    assert health(port) == 1
