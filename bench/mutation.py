"""Does a test notice when a line that decides, calibrates or authorises is wrong?

    make mutants [WORKERS=2]

mutmut changes one thing at a time in the modules that `[tool.mutmut]` in pyproject.toml names, and runs the tests that
reach it. A mutant that every test lets pass has survived: it needs a test, or, where it means the same as the original,
its reason in tests/MUTANTS.md. One that is in neither state fails the run, as does a reason for a mutant that is dead.
The last line is one of JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MUTANTS = ROOT / "mutants"
"""Where mutmut copies the sources to."""
EXPLAINED = ROOT / "tests" / "MUTANTS.md"
KILLED = frozenset({"killed", "timeout"})
"""One that makes a test run without end is noticed, too."""

_NAME = re.compile(r"(?P<module>[\w.]+)\.x(?:_|ǁ(?P<class>\w+)ǁ)(?P<function>\w+)__mutmut_\d+")
_SECTION = re.compile(
    r"^### `(?P<function>[^`]+)`\n+```diff\n(?P<diff>.*?)```\n+(?P<reason>[^#`\n].*?)(?=\n\n|\Z)", re.M | re.S
)


@dataclass(frozen=True)
class Mutant:
    """Known by what it changes: the numbers that mutmut gives move with every edit."""

    function: str
    """As it is imported, such as model.decision.decide."""
    changes: tuple[str, ...]
    """Lines of the difference, each with its sign, without indentation."""


def function_of(name: str) -> str:
    """mutmut's name of a mutant -> the function that it changes. Raises ValueError for what is no such name."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no name of a mutant")
    return ".".join(part for part in found.group("module", "class", "function") if part)


def changes_of(diff: str) -> tuple[str, ...]:
    """The changed lines of a unified difference, which may lack its head."""
    return tuple(
        line[0] + " " + line[1:].strip()
        for line in diff.splitlines()
        if line.startswith(("+", "-")) and not line.startswith(("+++", "---"))
    )


def read_explained(page: str) -> dict[Mutant, str]:
    """The mutants of a page that survive for a reason, and the reason: a heading, a difference, a paragraph each."""
    return {
        Mutant(found["function"], changes_of(found["diff"])): " ".join(found["reason"].split())
        for found in _SECTION.finditer(page)
    }


def read_statuses(output: str) -> dict[str, str]:
    """What `mutmut results --all true` says: name -> status."""
    lines = (line.strip().rpartition(": ") for line in output.splitlines())
    return {name: status for name, _, status in lines if _NAME.fullmatch(name)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="mutants tested at once")
    parser.add_argument(
        "--only", nargs="*", default=[], metavar="PATTERN", help="such as model.decision.*; default all"
    )
    parser.add_argument("--keep", action="store_true", help="test only what has changed since the last run")
    options = parser.parse_args(arguments)
    if not options.keep:
        shutil.rmtree(MUTANTS, ignore_errors=True)
    ran = subprocess.run(  # nosec B603 # our own command
        [*_MUTMUT, "run", "--max-children", str(options.workers), *options.only], cwd=ROOT, check=False
    )
    if ran.returncode:
        return ran.returncode
    statuses = read_statuses(_asked("results", "--all", "true"))
    if options.only:
        statuses = {name: status for name, status in statuses.items() if status != "not checked"}
    survivors = {name: status for name, status in statuses.items() if status not in KILLED}
    found = {Mutant(function_of(name), changes_of(_asked("show", name))): name for name in survivors}
    reasons = read_explained(EXPLAINED.read_text(encoding="utf-8"))
    unexplained = [mutant for mutant in found if mutant not in reasons]
    dead = [] if options.only else [mutant for mutant in reasons if mutant not in found]
    _show("survived, without a reason in tests/MUTANTS.md", unexplained)
    _show("in tests/MUTANTS.md, and did not survive", dead)
    figures = {
        "mutants": len(statuses),
        "killed": len(statuses) - len(survivors),
        "survived": len(survivors),
        "explained": len(found) - len(unexplained),
    }
    print(json.dumps(figures), flush=True)
    return 1 if unexplained or dead or not statuses else 0


_MUTMUT = (sys.executable, "-m", "mutmut")


def _asked(*arguments: str) -> str:
    command = [*_MUTMUT, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # nosec B603 # our own command
    return done.stdout


def _show(what: str, mutants: Iterable[Mutant]) -> None:
    for mutant in mutants:
        print(f"{mutant.function} {what}:", *mutant.changes, "", sep="\n")


if __name__ == "__main__":
    sys.exit(main())
