"""The examples, run as their page says, against a service of its own process on the bundle that ships."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import HOST, ROOT, service

from vouch_client import Vouch

EXAMPLES = ROOT / "examples"
CLIPS = EXAMPLES / "clips"
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Ran:
    status: int
    output: str


@dataclass(frozen=True)
class Examples:
    """What the scripts are run with."""

    url: str

    def run(self, *command: object) -> Ran:
        unset = {name: value for name, value in os.environ.items() if not name.startswith("VOUCH_")}
        env = unset | {"VOUCH_URL": self.url, "PYTHONPATH": str(ROOT / "client"), "PYTHONWARNINGS": "error"}
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
        return Ran(done.returncode, done.stdout + done.stderr)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """One service for all: it takes longer to start than to answer."""
    with service() as running:
        yield f"http://{HOST}:{running.port}"


@pytest.fixture
def examples(url: str) -> Examples:
    """With the service empty."""
    with Vouch(url, key="") as vouch:
        for speaker in list(vouch.speakers()):
            vouch.erase_speaker(speaker["speaker_id"])
    return Examples(url)


@pytest.fixture
def enrolled(examples: Examples) -> Examples:
    ran = examples.run("examples/enroll_folder.py", CLIPS, "--pattern", "speaker-?-[12].ogg")
    assert ran.status == 0, ran.output
    assert re.fullmatch(
        r"speaker-a is enrolled with \d+\.\d s of speech\nspeaker-b is enrolled with \d+\.\d s of speech\n", ran.output
    )
    return examples


def test_every_command_of_the_page_runs(examples: Examples, tmp_path: Path) -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^python (.*)$", page, flags=re.MULTILINE)
    scripts = {shlex.split(command)[0] for command in commands}
    assert scripts == {f"examples/{path.name}" for path in EXAMPLES.glob("*.py")}
    for command in commands:
        ran = examples.run(*(str(tmp_path / word) if word.endswith(".png") else word for word in shlex.split(command)))
        assert ran.status == 0, f"{command}: {ran.output}"


def test_the_lines_of_the_readme_run(examples: Examples) -> None:
    found = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert found
    ran = examples.run("-c", found[1].replace("http://127.0.0.1:8000", examples.url))
    assert re.fullmatch(r"reject -\d+\.\d+\n", ran.output), ran.output


def test_a_folder_is_enrolled_once(enrolled: Examples) -> None:
    ran = enrolled.run("examples/enroll_folder.py", CLIPS, "--pattern", "speaker-b-*")
    assert ran == Ran(0, "speaker-b is enrolled already; erase the speaker to begin anew\n")


def test_a_folder_with_a_bad_clip_leaves_no_half_speaker(examples: Examples, tmp_path: Path) -> None:
    (tmp_path / "carol-1.wav").write_bytes(b"no sound")
    (tmp_path / "short-1.ogg").write_bytes((CLIPS / "speaker-a-1.ogg").read_bytes())
    ran = examples.run("examples/enroll_folder.py", tmp_path)
    assert ran.status == 0
    assert re.search(r"^carol was not enrolled: ", ran.output, flags=re.MULTILINE)
    assert re.search(r"^short needs \d+\.\d s more of speech$", ran.output, flags=re.MULTILINE)
    with Vouch(examples.url, key="") as vouch:
        assert [speaker["speaker_id"] for speaker in vouch.speakers()] == ["short"]


@pytest.mark.parametrize(
    ("claimed", "clip", "expected"),
    [
        ("speaker-a", "speaker-a-3.ogg", Ran(0, "Welcome, speaker-a.\n")),
        ("speaker-b", "speaker-a-3.ogg", Ran(1, "That did not work.\n")),
        ("nobody", "speaker-a-3.ogg", Ran(1, "That did not work.\n")),
    ],
)
def test_a_login_is_let_in_or_not(claimed: str, clip: str, expected: Ran, enrolled: Examples) -> None:
    assert enrolled.run("examples/verify_at_login.py", claimed, CLIPS / clip) == expected


def test_a_login_that_cannot_be_judged_is_told_what_to_do(enrolled: Examples) -> None:
    refused = enrolled.run("examples/verify_at_login.py", "speaker-a", EXAMPLES / "README.md")
    assert refused.status == 2
    assert "cannot be used" in refused.output
    nobody_there = Examples("http://127.0.0.1:9")
    ran = nobody_there.run("examples/verify_at_login.py", "speaker-a", CLIPS / "speaker-a-3.ogg")
    assert ran == Ran(2, "Voices cannot be checked at the moment. Please use your password.\n")


def test_a_call_tells_who_speaks_when(enrolled: Examples) -> None:
    ran = enrolled.run("examples/identify_in_a_call.py", CLIPS / "speaker-a-3.ogg", "--window-s", "8")
    assert ran.status == 0, ran.output
    assert re.fullmatch(r" +0\.0 s  speaker-a \(LLR \d+\.\d\)\n", ran.output)


def test_pairs_are_drawn_and_the_same_voice_stands_apart(examples: Examples, tmp_path: Path) -> None:
    target = tmp_path / "scores.png"
    ran = examples.run("examples/plot_scores.py", CLIPS, target)
    assert ran.status == 0, ran.output
    assert target.read_bytes().startswith(PNG)
    same, two = ([float(llr) for llr in re.findall(r"-?\d+\.\d", line)] for line in ran.output.splitlines()[:2])
    assert (len(same), len(two)) == (3, 3)
    assert min(same) > max(two)
