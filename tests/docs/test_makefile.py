"""The Makefile, run for real with a made interpreter that writes down what it is asked to do."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAIR = [requirement for requirement in PROJECT["dependencies"] if requirement.startswith("torch")]
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
SUMMARY = "===== 3 passed in 0.01s ====="

INTERPRETER = f"""#!/bin/sh
if [ "$1" = -c ]; then
    exec '{sys.executable}' -c "import sys; sys.version_info = ($VERSION, 0); exec(sys.argv.pop(1))" "$2" "$3"
fi
echo "$@" >> "$LOG"
[ -z "$BROKEN" ] || exit 1
case "$2" in
    venv) mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; cp "$0" "$3/bin/vouch"; cp "$0" "$3/bin/vouch-train" ;;
    pytest) echo '{SUMMARY}' ;;
esac
"""


@dataclass(frozen=True)
class Made:
    status: int
    output: str
    ran: list[str]
    """What the interpreter and the programs of the environment were asked to do, from the first call on."""


@dataclass(frozen=True)
class Checkout:
    """A folder for an environment, and the interpreter to make it with."""

    folder: Path

    @property
    def venv(self) -> Path:
        return self.folder / "venv"

    def make(self, *arguments: str, version: str = "3, 12", broken: bool = False) -> Made:
        python, log = self.folder / "python", self.folder / "log"
        python.write_text(INTERPRETER, encoding="ascii")
        python.chmod(0o755)
        log.touch()
        # These tests may themselves run under make, whose variables would reach down here.
        clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME")}
        done = subprocess.run(
            ["make", f"PYTHON={python}", f"VENV={self.venv}", *arguments],
            cwd=ROOT,
            env=clean | {"LOG": str(log), "VERSION": version, "BROKEN": "1" if broken else ""},
            capture_output=True,
            text=True,
            check=False,
        )
        return Made(done.returncode, done.stdout + done.stderr, log.read_text(encoding="utf-8").splitlines())


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_serve_makes_an_environment_and_serves_and_the_second_time_only_serves(checkout: Checkout) -> None:
    first = checkout.make("serve")
    assert first.status == 0
    assert first.ran == [f"-m venv {checkout.venv}", "-m pip install -q -e ./client -e .", "serve"]
    assert checkout.make("serve").ran == [*first.ran, "serve"]


def test_with_an_index_the_pinned_pair_comes_from_it_before_anything_else(checkout: Checkout) -> None:
    assert [name.partition("==")[0] for name in PAIR] == ["torch", "torchaudio"]
    ran = checkout.make("install", f"TORCH_INDEX={CPU_INDEX}").ran
    pair = f"-m pip install -q --index-url {CPU_INDEX} {' '.join(PAIR)}"
    assert ran == [f"-m venv {checkout.venv}", pair, "-m pip install -q -e ./client -e ."]


def test_a_new_pyproject_installs_again_and_from_the_index_of_the_first_time(checkout: Checkout) -> None:
    first = checkout.make("install", f"TORCH_INDEX={CPU_INDEX}").ran
    assert checkout.make("install").ran == first
    for changed in ("pyproject.toml", "client/pyproject.toml"):
        before = checkout.make("install").ran
        assert checkout.make("install", f"--what-if={changed}").ran == before + first[1:]


def test_another_index_is_refused_rather_than_ignored(checkout: Checkout) -> None:
    ran = checkout.make("install").ran
    refused = checkout.make("install", f"TORCH_INDEX={CPU_INDEX}")
    assert refused.status != 0
    assert "make clean" in refused.output
    assert refused.ran == ran


def test_an_interrupted_install_is_taken_up_again(checkout: Checkout) -> None:
    checkout.make("install")
    assert checkout.make("test", broken=True).status != 0
    assert [re.sub("==[0-9.]+", "", line) for line in checkout.make("test").ran[-3:]] == [
        "-m pip install -q -e ./client -e .[dev]",
        "-m pip install -q --no-deps resemblyzer speakerlab",
        "-m pytest -m not slow and not browser --numprocesses auto --maxprocesses 4 --dist loadfile",
    ]


def test_campplus_is_fetched_and_imported_once(checkout: Checkout) -> None:
    folder = checkout.folder / "campplus"

    def ran() -> list[str]:
        (checkout.folder / "log").unlink(missing_ok=True)
        made = checkout.make("campplus", f"CAMPPLUS={folder}")
        assert made.status == 0, made.output
        return [line for line in made.ran if "venv" not in line and "install" not in line]

    fetched = ran()
    assert [line.partition(" --")[0].partition(" /")[0].strip() for line in fetched] == [
        "-m pip download -q",
        "-m zipfile -e",
        "import campplus",
    ]
    assert f"--out {folder} --licence Apache-2.0" in fetched[2]
    folder.mkdir()
    assert ran() == []


@pytest.mark.parametrize("version", ["3, 10", "3, 14"])
def test_another_python_is_refused_with_a_sentence(version: str, checkout: Checkout) -> None:
    refused = checkout.make("install", version=version)
    assert refused.status != 0
    assert f"is Python {version.replace(', ', '.')}; Vouch needs {PROJECT['requires-python']}" in refused.output
    assert refused.ran == []


@pytest.mark.parametrize("version", ["3, 11", "3, 13"])
def test_a_python_in_the_range_is_taken(version: str, checkout: Checkout) -> None:
    assert checkout.make("install", version=version).status == 0


def test_a_missing_python_is_named(checkout: Checkout) -> None:
    refused = checkout.make("install", "PYTHON=python-that-is-not-there")
    assert refused.status != 0
    assert "There is no python-that-is-not-there; install Python >=3.11" in refused.output


def test_the_last_line_of_make_test_is_pytest_s_summary(checkout: Checkout) -> None:
    made = checkout.make("test")
    assert made.status == 0
    assert made.output.splitlines()[-1] == SUMMARY


def test_contributing_lists_every_target(checkout: Checkout) -> None:
    listed = set(re.findall(r"^make ([a-z-]+)", checkout.make().output, flags=re.MULTILINE))
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `make ([a-z-]+)", contributing, flags=re.MULTILINE)) == listed - {"help"}


def test_the_page_on_installing_names_the_pins_and_the_range() -> None:
    page = (ROOT / "docs" / "installing.md").read_text(encoding="utf-8")
    assert {f"torch{name}" for name in re.findall(r"`torch(\w*==[\d.]+)`", page)} == set(PAIR)
    lowest, above = re.findall(r"3\.(\d+)", PROJECT["requires-python"])
    assert f"Python 3.{lowest} to 3.{int(above) - 1}" in page


def test_ci_runs_the_checks_and_the_tests_from_scratch() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = re.findall(r"^(?:exec )?make (.+)$", script.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert commands == ["clean", "check", "audit IF_ANSWERED=1", "test-slow", "browser", "test-postgres", "test"]
