"""The voice commands as they are typed, on the bundle that ships: by themselves, and against a service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from running import HOST, ROOT, service

from shipped import CLIPS

A_1, A_2, A_3, B_1 = (CLIPS / f"speaker-{name}.ogg" for name in ("a-1", "a-2", "a-3", "b-1"))
VOUCH = (sys.executable, "-W", "error", "-c", "from app.cli import main; main()")
N_PEOPLE = 24
N_BEFORE_THE_KILL = 3


@dataclass(frozen=True)
class Shell:
    """Where commands are typed."""

    environ: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*VOUCH, *map(str, arguments)], cwd=ROOT, env=self.env(), capture_output=True, text=True, check=False
        )

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*VOUCH, *map(str, arguments)],
            cwd=ROOT,
            env=self.env(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def env(self) -> dict[str, str]:
        unset = {name: value for name, value in os.environ.items() if not name.startswith("VOUCH_")}
        path = os.pathsep.join([str(ROOT), str(ROOT / "client")])
        return unset | {"PYTHONPATH": path, "COLUMNS": "200"} | self.environ


@pytest.fixture(scope="module", params=["by itself", "by a service"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    if request.param == "by itself":
        yield Shell({"VOUCH_DATA_DIR": str(tmp_path_factory.mktemp("data"))})
        return
    with service() as running:
        yield Shell({"VOUCH_URL": f"http://{HOST}:{running.port}"})


def told(done: subprocess.CompletedProcess[str], status: int) -> Any:
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_one_voice_is_0_and_two_are_1(shell: Shell) -> None:
    same = shell.run("compare", A_1, A_2)
    assert same.returncode == 0, same.stderr
    assert same.stdout.startswith("accept: the same voice; probability 0.")
    assert told(shell.run("compare", A_1, B_1, "--json"), 1)["llr"] < 0


def test_a_speaker_is_enrolled_verified_found_and_erased(shell: Shell) -> None:
    enrolled = told(shell.run("enroll", "alice", A_1, A_2, "--json"), 0)
    assert enrolled["speaker"]["status"] == "enrolled"
    answers = [json.loads(line) for line in shell.run("verify", "alice", A_3, B_1, "--json").stdout.splitlines()]
    assert [answer["decision"] for answer in answers] == ["accept", "reject"]
    assert told(shell.run("identify", A_3, "--json"), 0)["candidates"][0]["speaker_id"] == "alice"
    unheard = shell.run("verify", "alice", ROOT / "README.md")
    assert unheard.returncode == 3
    assert f"vouch: {ROOT / 'README.md'}: The upload is text; send WAV" in unheard.stderr
    assert told(shell.run("speakers", "erase", "alice", "--yes", "--json"), 0) == {"erased": "alice"}
    assert told(shell.run("speakers", "list", "--json"), 0)["speakers"] == []


def test_an_enrolment_that_is_killed_goes_on_and_enrols_nobody_twice(shell: Shell, tmp_path: Path) -> None:
    people = tmp_path / "people.csv"
    rows = [f"person-{i},{(A_1, A_2, A_3, B_1)[i % 4]}" for i in range(N_PEOPLE)]
    people.write_text("\n".join(["speaker_id,path", *rows]) + "\n", encoding="utf-8")
    journal = tmp_path / "people.csv.done"
    running = shell.start("enroll-all", people)
    deadline_s = time.monotonic() + 60
    while not journal.is_file() or journal.read_bytes().count(b"\n") < N_BEFORE_THE_KILL:
        assert running.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline_s, "it enrolled nobody"
        time.sleep(0.001)  # a process that is to be killed tells nobody how far it is
    running.kill()
    assert running.wait() == -signal.SIGKILL
    report = told(shell.run("enroll-all", people, "--json"), 0)
    assert report["enrolled_before"] >= N_BEFORE_THE_KILL
    assert report["enrolled"] + report["enrolled_before"] == N_PEOPLE
    assert report["failed"] == []
    listed = told(shell.run("speakers", "list", "--json"), 0)["speakers"]
    counts = {one["speaker_id"]: one["enrollment_count"] for one in listed}
    assert counts == {f"person-{i}": 1 for i in range(N_PEOPLE)}


def test_where_a_service_has_the_database_it_says_what_to_do(tmp_path: Path) -> None:
    with service({"VOUCH_DATA_DIR": str(tmp_path)}):
        beside = Shell({"VOUCH_DATA_DIR": str(tmp_path)})
        refused = beside.run("speakers", "list")
        assert refused.returncode == 3
        assert "set --url or VOUCH_URL" in refused.stderr
        assert beside.run("compare", A_1, A_2).returncode == 0


def test_a_bench_measures_and_leaves_nothing(tmp_path: Path) -> None:
    shell = Shell({"VOUCH_DATA_DIR": str(tmp_path / "data"), "VOUCH_WORKERS": "2"})
    found = told(shell.run("bench", A_1, A_2, "--seconds", "0.2", "--json"), 0)
    assert found["mean_clip_s"] == pytest.approx((5.06 + 8.14) / 2, abs=0.01)
    for what in ("compare", "verify"):
        assert [one["n_callers"] for one in found[what]] == [1, 2, 4]
        assert all({"decode", "quality", "encode"} <= set(one["stage_ms"]) for one in found[what])
    assert "This machine does about " in shell.run("bench", A_1, "--seconds", "0.2").stdout
    no_clip = shell.run("bench", ROOT / "README.md")
    assert (no_clip.returncode, "README.md: The upload is text" in no_clip.stderr) == (3, True)
    assert not (tmp_path / "data").exists()
