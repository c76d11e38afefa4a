"""deploy/haproxy.cfg, by a real HAProxy in front of real services: what goes through, and what callers notice of replicas that go."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
import websockets.exceptions
from running import HOST, Running, free_port, get, service
from websockets.sync.client import connect

from app.settings import N_BYTES_PER_MB, Settings

ROOT = Path(__file__).resolve().parents[2]
CONFIG = (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")
CLIPS = ROOT / "examples" / "clips"
WAIT_S = 30
IN_DOCKER = {
    "bind :8000": "bind {address}",
    "server-template replica- 10 replica:8000 resolvers docker init-addr none": "{servers}",
}
"""What of the file is Docker's: on this machine there are other addresses."""


@dataclass(frozen=True)
class Balanced:
    url: str
    replicas: list[Running]


@pytest.fixture(scope="module")
def haproxy() -> str:
    found = shutil.which("haproxy")
    if found is None:
        pytest.skip("no haproxy, which is a package of that name")
    return found


@contextmanager
def balanced(haproxy: str, folder: Path, n_replicas: int, settings: Mapping[str, str]) -> Iterator[Balanced]:
    """Services on each of which speaker-a is enrolled as alice, and a balancer in front that knows them all to be ready."""
    with ExitStack() as stack:
        replicas = [
            stack.enter_context(service({"VOUCH_DATA_DIR": str(folder / str(n)), "VOUCH_WORKERS": "1", **settings}))
            for n in range(n_replicas)
        ]
        for replica in replicas:
            with httpx2.Client(base_url=f"http://{HOST}:{replica.port}", timeout=WAIT_S) as client:
                enroll_alice(client)
        url = stack.enter_context(balancer(haproxy, folder, [replica.port for replica in replicas]))
        yield Balanced(url, replicas)


@contextmanager
def balancer(haproxy: str, folder: Path, ports: list[int]) -> Iterator[str]:
    """The URL of HAProxy with the file's configuration, before what listens on these ports of this machine."""
    port = free_port()
    servers = "\n    ".join(f"server replica-{n} {HOST}:{behind}" for n, behind in enumerate(ports))
    config = CONFIG
    for line, here in IN_DOCKER.items():
        assert config.count(line) == 1
        config = config.replace(line, here.format(address=f"{HOST}:{port}", servers=servers))
    written = folder / "haproxy.cfg"
    written.write_text(config, encoding="utf-8")
    process = subprocess.Popen([haproxy, "-db", "-f", str(written)], stdout=subprocess.DEVNULL)
    try:
        wait_until_ready(process, port)
        yield f"http://{HOST}:{port}"
    finally:
        process.terminate()
        process.wait(timeout=WAIT_S)


def enroll_alice(client: httpx2.Client) -> None:
    client.post("/v1/speakers", json={"speaker_id": "alice"}).raise_for_status()
    clips = [("audio", (CLIPS / f"speaker-a-{n}.ogg").read_bytes()) for n in (1, 2)]
    client.post("/v1/speakers/alice/enrollments", files=clips).raise_for_status()


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        assert process.poll() is None, "HAProxy has ended"
        try:
            if get(port, "/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)  # another process: there is nothing to wait on but its answer
    raise AssertionError("HAProxy did not find a replica that is ready")


@pytest.fixture(scope="module")
def two(haproxy: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balanced]:
    with balanced(haproxy, tmp_path_factory.mktemp("two"), 2, {}) as found:
        yield found


@pytest.fixture
def client(two: Balanced) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=two.url, timeout=WAIT_S) as opened:
        yield opened


def verify(client: httpx2.Client, clip: str = "speaker-a-3") -> httpx2.Response:
    return client.post("/v1/speakers/alice/verify", files={"audio": (CLIPS / f"{clip}.ogg").read_bytes()})


def n_verified(replica: Running) -> float:
    lines = get(replica.port, "/metrics")[1].decode().splitlines()
    counts = (
        line for line in lines if line.startswith('vouch_request_seconds_count{method="POST",route="/v1/speakers/{s')
    )
    return sum(float(line.rpartition(" ")[2]) for line in counts)


def listens(replica: Running) -> bool:
    try:
        get(replica.port, "/livez")
    except OSError:
        return False
    return True


def kill(replica: Running) -> None:
    """Until it is dead: what a call to a process that is dying meets is told of no call."""
    os.kill(replica.pid, signal.SIGKILL)
    os.waitid(os.P_PID, replica.pid, os.WEXITED | os.WNOWAIT)


def test_the_file_is_valid_as_it_is(haproxy: str) -> None:
    told = subprocess.run(
        [haproxy, "-c", "-f", str(ROOT / "deploy" / "haproxy.cfg")], capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr
    assert "WARNING" not in told.stderr


def test_calls_are_answered_by_every_replica(two: Balanced, client: httpx2.Client) -> None:
    before = [n_verified(replica) for replica in two.replicas]
    assert [verify(client).json()["decision"] for _ in range(4)] == ["accept"] * 4
    assert all(n_verified(replica) > n for replica, n in zip(two.replicas, before, strict=True))


def test_a_stream_goes_through_both_ways(two: Balanced) -> None:
    samples, rate_hz = soundfile.read(CLIPS / "speaker-a-3.ogg", dtype="int16")
    url = two.url.replace("http", "ws") + "/v1/speakers/alice/verify/stream"
    told: list[dict[str, Any]] = []
    with connect(url, proxy=None) as stream:
        stream.send(json.dumps({"format": "pcm_s16le", "sample_rate_hz": rate_hz}))
        stream.send(samples[: 2 * rate_hz].astype("<i2").tobytes())
        told.append(json.loads(stream.recv(timeout=WAIT_S)))
        try:
            stream.send(samples[2 * rate_hz :].astype("<i2").tobytes())
            stream.send(json.dumps({"end": True}))
        except websockets.exceptions.ConnectionClosed:
            pass  # enough was said
        told += [json.loads(message) for message in stream]
    assert told[0]["type"] == "running"
    assert told[-1]["type"] == "final"
    assert told[-1]["verification"]["decision"] == "accept"


def test_the_largest_file_goes_through_and_a_larger_one_is_refused_by_the_service(
    client: httpx2.Client, tmp_path: Path
) -> None:
    max_bytes = Settings().max_upload_bytes
    path = tmp_path / "large.wav"
    samples = np.random.default_rng(1).integers(-3000, 3000, (max_bytes // 16 - 8, 8), dtype="int16")
    soundfile.write(path, samples, 48000, subtype="PCM_16")
    large = path.read_bytes()
    assert max_bytes - 256 < len(large) <= max_bytes
    whole = client.post("/v1/speakers/alice/verify", files={"audio": large})
    assert whole.status_code == 200, whole.text
    assert whole.json()["audio"][0]["channels"] == 8
    over = client.post("/v1/speakers/alice/verify", files={"audio": large + bytes(N_BYTES_PER_MB)})
    assert (over.status_code, over.json()["code"]) == (413, "audio_too_large")


@pytest.mark.parametrize(("sent", "is_kept"), [("order-7.b", True), ('x" or "1', False), ("", False)])
def test_a_request_has_one_id_all_the_way(client: httpx2.Client, sent: str, is_kept: bool) -> None:
    answer = client.get("/v1/speakers/nobody", headers={"X-Request-ID": sent})
    assert answer.status_code == 404
    assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
    assert (answer.headers["X-Request-ID"] == sent) is is_kept


def test_nobody_is_told_the_metrics_of_some_replica(client: httpx2.Client) -> None:
    assert client.get("/metrics").status_code == 404


@contextmanager
def never_answering() -> Iterator[tuple[int, list[str]]]:
    """A port on loopback, and the methods of the calls that came: each is read, and then the connection is closed."""
    called: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/readyz":
                self.send_response(200)
                self.end_headers()
            else:
                called.append(self.command)

        do_POST = do_DELETE = do_GET  # noqa: N815 # the names that the base class looks for

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, called
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("method", "is_sent_again"), [("GET", True), ("POST", False), ("DELETE", False)])
def test_what_may_have_been_carried_out_is_not_sent_again(
    haproxy: str, tmp_path: Path, method: str, is_sent_again: bool
) -> None:
    with never_answering() as (port, called), balancer(haproxy, tmp_path, [port]) as url:
        assert httpx2.request(method, f"{url}/v1/speakers/alice").status_code == 502
    assert set(called) == {method}
    assert (len(called) > 1) is is_sent_again


def test_callers_do_not_notice_replicas_that_go_until_the_last_is_gone(haproxy: str, tmp_path: Path) -> None:
    settings = {"VOUCH_DRAIN_S": f"{Settings().drain_s:g}"}
    with balanced(haproxy, tmp_path, 3, settings) as three, httpx2.Client(base_url=three.url, timeout=WAIT_S) as client:
        told, killed, last = three.replicas
        os.kill(told.pid, signal.SIGTERM)
        statuses = []
        while listens(told):
            statuses.append(verify(client).status_code)
        assert set(statuses) == {200}

        # Before the balancer can have looked twice: what it sends there finds nobody, and goes elsewhere.
        kill(killed)
        assert {verify(client).status_code for _ in range(6)} == {200}

        kill(last)
        answer = verify(client)
        assert (answer.status_code, answer.json()["code"]) == (503, "model_not_ready")
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.headers["X-Request-ID"] == answer.json()["request_id"]
