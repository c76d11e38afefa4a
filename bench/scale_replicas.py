"""Replicas of the service as bench/scale.py has them: processes of `vouch serve` on one PostgreSQL, with API keys."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fault_clients import JSON, Told, Wire
from postgres_server import PostgresServer
from running import ROOT, SERVE, free_port, started, wait_until_ready

from app.access import SCOPES
from faults import SETTINGS

N_CORES = 2
"""Which the replicas share, or one alone has."""
N_REPLICAS = 3
START_S = 240.0
"""Four that start at once share the cores."""


class Replica:
    """One of them. Killed, it is started anew at the port it had."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self._environ, self._log = environ, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as errors:
            self._process = started([*SERVE, "--port", str(self.port)], self._environ, errors)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self._process.pid, sorted(os.sched_getaffinity(0))[:N_CORES])

    def wait(self) -> None:
        """Until it is ready."""
        assert self._process is not None
        wait_until_ready(self._process, self.port, START_S)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@dataclass(frozen=True)
class Fleet:
    """Replicas that are ready."""

    replicas: Sequence[Replica]
    alone: Replica | None
    """Another one, with as many cores as the others together."""
    server: PostgresServer
    url: str
    log: Path
    """Of all of them."""
    admin: Mapping[str, str]
    """Headers of who may make keys."""

    def authorization(self, tenant: str) -> Mapping[str, str]:
        """Headers of a new key that may do everything as this tenant."""
        body = json.dumps({"name": tenant, "tenant": tenant, "scopes": SCOPES}).encode()
        with closing(Wire(self.replicas[0].port, self.admin)) as wire:
            return _bearer(_made(wire.ask("POST", "/v1/keys", body, {"Content-Type": JSON}))["key"])

    def make_speaker(self, speaker_id: str, headers: Mapping[str, str], clips: Sequence[bytes] = ()) -> None:
        """Somebody whom nobody changes, enrolled with these."""
        body = json.dumps({"speaker_id": speaker_id, "metadata": {"n": 0}}).encode()
        with closing(Wire(self.replicas[0].port, headers)) as wire:
            _made(wire.ask("POST", "/v1/speakers", body, {"Content-Type": JSON}))
            if clips:
                _made(wire.upload(f"/v1/speakers/{speaker_id}/enrollments", list(clips)))


@contextmanager
def fleet(server: PostgresServer, gallery: str, with_one_alone: bool = False) -> Iterator[Fleet]:
    """On a database of their own, without rate limits. They start at once, as an orchestrator starts them."""
    with server.database() as url, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "log"
        environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("VOUCH_")},
            **SETTINGS,
            "PYTHONPATH": str(ROOT),
            "VOUCH_DATABASE_URL": url,
            "VOUCH_GALLERY": gallery,
            "VOUCH_MASTER_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
            "VOUCH_RATE_LIMIT_PER_MINUTE": "0",
            "VOUCH_VERIFY_LIMIT_PER_MINUTE": "0",
            "VOUCH_DRAIN_S": "0",
        }
        admin = _bearer(_first_key(environ | {"VOUCH_DATA_DIR": str(folder / "keys")}))
        replicas = [Replica(environ | {"VOUCH_DATA_DIR": str(folder / str(n))}, log) for n in range(N_REPLICAS)]
        alone = Replica(environ | {"VOUCH_DATA_DIR": str(folder / "alone"), "VOUCH_WORKERS": str(N_CORES)}, log)
        every = [*replicas, alone] if with_one_alone else replicas
        try:
            for replica in every:
                replica.start()
            for replica in every:
                replica.wait()
            yield Fleet(replicas, alone if with_one_alone else None, server, url, log, admin)
        finally:
            for replica in every:
                replica.kill()


def _first_key(environ: Mapping[str, str]) -> str:
    options = [word for scope in SCOPES for word in ("--scope", scope)]
    command = [*SERVE[:-1], "keys", "create", "scale", *options, "--json"]
    made = subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True)  # nosec B603 # our own command
    key: str = json.loads(made.stdout)["key"]
    return key


def _made(told: Told) -> Any:
    if told.status != 201:
        raise SystemExit(f"what the measurement needs could not be made: {told}")
    return told.body


def _bearer(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"}
