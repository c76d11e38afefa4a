"""`vouch serve` as a process, over a real socket."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

import signals
from tiny_bundle import write_tiny_bundle

ROOT = Path(__file__).resolve().parents[2]
VOUCH = [sys.executable, "-c", "from app.cli import main; main()"]
COMMAND = [*VOUCH, "serve"]
WAIT_S = 60
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def environ(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("serve")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VOUCH_")}
    return inherited | {
        "PYTHONPATH": str(ROOT),
        "VOUCH_BUNDLE": str(write_tiny_bundle(folder / "bundle")),
        "VOUCH_DATA_DIR": str(folder / "data"),
        "VOUCH_DEVICE": "cpu",
        "VOUCH_WORKERS": "1",
        "VOUCH_DRAIN_S": "0",
        "VOUCH_MAX_UPLOAD_MB": "1",
    }


@contextmanager
def served(
    environ: dict[str, str], *options: str, may_log_failures: bool = False
) -> Iterator[tuple[int, list[str], int]]:
    """A running service: its port, its log and its number. It is told to stop, and must end well."""
    process = subprocess.Popen([*COMMAND, *options], env=environ, stderr=subprocess.PIPE, text=True)
    lines: list[str] = []
    assert process.stderr is not None
    try:
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                break
        else:
            raise AssertionError(f"it did not start: {''.join(lines)}")
        yield int(found[1]), lines, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=WAIT_S)
        lines.append(rest)
    assert process.returncode in (0, -signal.SIGTERM), "".join(lines)
    assert may_log_failures or "Traceback" not in "".join(lines)


def call(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content) if content else {}
    finally:
        connection.close()


def test_it_serves_refuses_and_stops(environ: dict[str, str]) -> None:
    with served(environ, "--port", "0") as (port, lines, _):
        assert call(port, "GET", "/readyz") == (200, {"status": "ready"})
        model = call(port, "GET", "/v1/model")[1]
        assert (model["limits"], model["card"]) == (["Untrained."], None)
        made = call(port, "POST", "/v1/speakers", b'{"speaker_id": "alice"}', Content_Type="application/json")
        assert made[0] == 201
        form = "multipart/form-data; boundary=b"
        head = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="x"\r\n\r\n'
        for size in (MIB + 1, 40 * MIB):  # refused while it is read, and before
            status, problem = call(
                port, "POST", "/v1/identify", head + bytes(size) + b"\r\n--b--\r\n", Content_Type=form
            )
            assert (status, problem["code"]) == (413, "audio_too_large")
        status, problem = call(port, "POST", "/v1/identify", head + b"text\r\n--b--\r\n", Content_Type=form)
        assert (status, problem["code"]) == (415, "unsupported_audio")
        assert call(port, "GET", "/livez", Host="voice.example")[0] == 403
    assert not any("alice" in line for line in lines)
    assert Path(environ["VOUCH_DATA_DIR"], "vouch.db").is_file()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the decoder by Linux's /proc")
def test_told_to_stop_it_answers_whoever_is_there_and_nobody_else(environ: dict[str, str]) -> None:
    form = "multipart/form-data; boundary=b"
    head = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="x"\r\n\r\n'
    body = head + signals.flac(signals.white_noise(1.0)) + b"\r\n--b--\r\n"
    with served(environ, "--port", "0") as (port, _, pid), ThreadPoolExecutor(3) as callers:
        decoders = children(pid)
        for decoder in decoders:
            os.kill(decoder, signal.SIGSTOP)
        calls = [callers.submit(call, port, "POST", "/v1/identify", body, Content_Type=form) for _ in range(3)]
        while places_taken(port) < len(calls):
            time.sleep(0.01)  # another process: there is nothing to wait on but its answer
        os.kill(pid, signal.SIGTERM)
        while answers(port):
            time.sleep(0.01)  # likewise
        assert not any(one.done() for one in calls)
        for decoder in decoders:
            os.kill(decoder, signal.SIGCONT)
        assert [one.result()[0] for one in calls] == [200] * len(calls)


def test_told_to_stop_it_is_not_ready_and_serves_until_it_is_told_again(environ: dict[str, str]) -> None:
    """As a balancer sees it, which has a connection open and asks for the readiness."""
    with served(environ | {"VOUCH_DRAIN_S": "600"}, "--port", "0") as (port, lines, pid):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        connection.request("GET", "/livez")
        assert connection.getresponse().read()
        os.kill(pid, signal.SIGTERM)
        while call(port, "GET", "/readyz")[0] == 200:
            time.sleep(0.01)  # another process: there is nothing to wait on but its answer
        status, refused = call(port, "GET", "/readyz")
        assert (status, refused["code"]) == (503, "model_not_ready")
        assert "is stopping" in str(refused["detail"])
        connection.request("GET", "/v1/model")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (200, "close")
        connection.close()
        assert call(port, "GET", "/livez")[0] == 200
    assert "told to stop: no longer ready; new calls are taken for 600 s more" in lines[-1]


def test_on_an_interrupt_it_waits_for_no_balancer(environ: dict[str, str]) -> None:
    with served(environ | {"VOUCH_DRAIN_S": "600"}, "--port", "0") as (_, lines, pid):
        os.kill(pid, signal.SIGINT)
    assert "Finished server process" in lines[-1]
    assert "told to stop" not in lines[-1]


def test_after_the_drain_it_stops_by_itself(environ: dict[str, str]) -> None:
    with served(environ | {"VOUCH_DRAIN_S": "0.3"}, "--port", "0") as (port, lines, _):
        assert call(port, "GET", "/readyz")[0] == 200
    assert "new calls are taken for 0.3 s more" in lines[-1]
    assert "Finished server process" in lines[-1]


def test_as_json_every_line_is_an_object_the_servers_own_too(environ: dict[str, str]) -> None:
    with served(environ | {"VOUCH_LOG_FORMAT": "json"}, "--port", "0") as (port, lines, _):
        assert call(port, "GET", "/livez", X_Request_ID="trace-1")[0] == 200
    found = [json.loads(line) for line in "".join(lines).splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in found))
    assert {line["logger"] for line in found} >= {"vouch", "vouch.access", "uvicorn.error", "app.usecases.gallery_sync"}
    (access,) = (line for line in found if line["logger"] == "vouch.access")
    assert (access["route"], access["status"], access["request_id"]) == ("/livez", 200, "trace-1")


def test_one_database_has_one_service(environ: dict[str, str]) -> None:
    with served(environ, "--port", "0") as (port, _, pid):
        second = subprocess.run(
            [*COMMAND, "--port", "0"], env=environ, capture_output=True, text=True, timeout=WAIT_S, check=False
        )
        assert second.returncode == 2
        assert f"is already open in process {pid}, and an embedded database serves one process only" in second.stderr
        assert "Traceback" not in second.stderr
        assert call(port, "GET", "/readyz")[0] == 200


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits another process, as Linux can")
def test_on_a_full_disk_nothing_is_half_written_and_with_space_it_goes_on(
    environ: dict[str, str], tmp_path: Path
) -> None:
    """A limit on the size of files is the full disk."""
    data = tmp_path / "data"
    note = "n" * 4000

    def create(number: int) -> tuple[int, dict[str, object]]:
        body = json.dumps({"speaker_id": f"speaker-{number}", "metadata": {"note": note}}).encode()
        return call(port, "POST", "/v1/speakers", body, Content_Type="application/json")

    with served(environ | {"VOUCH_DATA_DIR": str(data)}, "--port", "0", may_log_failures=True) as (port, lines, pid):
        _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, ((data / "vouch.db").stat().st_size + 30_000, most))
        refused: dict[str, object] = {}
        n_made = 0
        while not refused:
            status, answer = create(n_made)
            assert status in (201, 503)
            n_made, refused = (n_made + 1, {}) if status == 201 else (n_made, answer)
        assert n_made > 0
        assert refused["code"] == "store_error"
        assert call(port, "GET", f"/v1/speakers/speaker-{n_made}")[0] == 404
        found = call(port, "GET", "/v1/speakers?limit=200")[1]["speakers"]
        assert isinstance(found, list)
        assert [one["speaker_id"] for one in found] == [f"speaker-{n}" for n in range(n_made)]
        assert create(n_made)[0] == 503
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, most))
        assert create(n_made)[0] == 201
        assert call(port, "DELETE", "/v1/speakers/speaker-0")[0] == 204
    assert any("The database cannot be written" in line for line in lines)


def vouch(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*VOUCH, *arguments], env=environ, capture_output=True, text=True, timeout=WAIT_S, check=False
    )


def test_a_backup_beside_the_service_and_a_restore_without_it(environ: dict[str, str], tmp_path: Path) -> None:
    mine = environ | {"VOUCH_DATA_DIR": str(tmp_path / "data")}
    backup = str(tmp_path / "backup.db")

    def create(speaker_id: str) -> int:
        body = json.dumps({"speaker_id": speaker_id}).encode()
        return call(port, "POST", "/v1/speakers", body, Content_Type="application/json")[0]

    with served(mine, "--port", "0") as (port, _, _):
        create("alice")
        create("bob")
        with ThreadPoolExecutor(2) as callers:
            writes = [callers.submit(create, f"speaker-{n}") for n in range(200)]
            done = vouch(mine, "backup", backup)
            assert {write.result() for write in writes} == {201}
        assert (done.returncode, done.stderr) == (0, "")
        assert re.search(r"^SHA-256 [0-9a-f]{64}$", done.stdout, re.MULTILINE)
        assert "The master key is not in it" in done.stdout
        assert "is there already" in vouch(mine, "backup", backup).stderr
        assert vouch(mine, "backup", backup, "--force").returncode == 0
        assert call(port, "DELETE", "/v1/speakers/bob")[0] == 204
        refused = vouch(mine, "restore", backup)
        assert refused.returncode == 2
        assert "is already open in process" in refused.stderr
    done = vouch(mine, "restore", backup)
    assert done.returncode == 0, done.stderr
    assert "Restored 201 speakers and 0 enrollments" in done.stdout
    assert "1 that were erased since the backup are erased again" in done.stdout
    assert "vouch.db.before-restore" in done.stdout
    assert "Traceback" not in done.stderr


def children(pid: int) -> list[int]:
    """Of any thread: it is a worker's that starts a process."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


def answers(port: int) -> bool:
    """Whether a new caller is taken."""
    try:
        return call(port, "GET", "/livez")[0] == 200
    except OSError:  # refused, or reset
        return False


def places_taken(port: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    (line,) = (line for line in text.splitlines() if line.startswith("vouch_work_places_taken "))
    return float(line.split()[1])


@pytest.mark.parametrize(
    ("changes", "options", "sentence"),
    [
        (
            {"VOUCH_MAX_UPLOAD": "1"},
            [],
            "VOUCH_MAX_UPLOAD is no setting of this service. Did you mean VOUCH_MAX_UPLOAD_MB?",
        ),
        ({}, ["--port", "70000"], "VOUCH_PORT is '70000'"),
        ({}, ["--host", "0.0.0.0"], "VOUCH_HOST is '0.0.0.0', which is beyond loopback"),
        ({"VOUCH_BUNDLE": "nowhere"}, [], "there is no bundle at nowhere"),
    ],
)
def test_what_is_wrong_stops_the_start_with_a_sentence(
    environ: dict[str, str], changes: dict[str, str], options: list[str], sentence: str
) -> None:
    done = subprocess.run(
        [*COMMAND, *options], env=environ | changes, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
