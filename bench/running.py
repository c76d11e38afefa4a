"""Starts what a benchmark measures as its users start it: a process of its own, reached over a loopback port."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
SERVE = (sys.executable, "-c", "from app.cli import main; main()", "serve")
START_S = 60.0
STOP_S = 40.0
"""The service lets requests in flight end for 30 s."""


@dataclass(frozen=True)
class Running:
    """A server that answers at `port`; its children are its own affair."""

    pid: int
    port: int


@contextmanager
def service(settings: Mapping[str, str] | None = None, log: IO[bytes] | None = None) -> Iterator[Running]:
    """Vouch with its defaults but for `settings` (`VOUCH_…`), an empty data directory, warnings only in its log, and no
    balancer to wait for when it stops.

    Variables of the caller's environment do not reach it: what is measured is what the figures say.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VOUCH_")}
    with tempfile.TemporaryDirectory() as folder:
        ours = {"VOUCH_DATA_DIR": folder, "VOUCH_LOG_LEVEL": "warning", "VOUCH_DRAIN_S": "0"}
        environ = inherited | ours | dict(settings or {})
        with server(lambda port: [*SERVE, "--port", str(port)], environ, log) as running:
            yield running


@contextmanager
def server(
    command: Callable[[int], Sequence[str]], environ: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> Iterator[Running]:
    """The process of `command(port)`, from when it answers `GET /readyz` with 200 until the end of the block."""
    port = free_port()
    process = started(command(port), environ, log)
    try:
        wait_until_ready(process, port)
        yield Running(process.pid, port)
    finally:
        process.terminate()
        process.wait(timeout=STOP_S)


def started(
    command: Sequence[str], environ: Mapping[str, str] | None = None, log: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, cwd=ROOT, env=environ, stderr=log)  # nosec B603 # our own command


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body, over a connection of its own."""
    connection = http.client.HTTPConnection(HOST, port, timeout=START_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def wait_until_ready(process: subprocess.Popen[bytes], port: int, within_s: float = START_S) -> None:
    """Raises SystemExit where it stops instead, or takes too long."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise SystemExit(f"the server stopped with code {process.returncode} before it was ready")
        try:
            if get(port, "/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)  # another process: there is nothing to wait on but its answer
    raise SystemExit(f"the server was not ready within {within_s:g} s")
