"""How much of the service and of the voice maths do the tests run? By lines and by branches, each of both packages.

    make coverage

Reads what `coverage` measured, prints the files under the target with the lines that were missed, and fails where a
package is under it. What runs in a decoder's child process alone is left out: it has given up every file by then, and cannot
write down what it did (`[tool.coverage.report]` in pyproject.toml). The last line is one of JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("app", "model")
TARGET_PERCENT = 95.0


@dataclass(frozen=True)
class Covered:
    """What was run of one file or of several."""

    n_lines: int
    n_lines_run: int
    n_branches: int
    n_branches_run: int

    @property
    def lines_percent(self) -> float:
        return _percent(self.n_lines_run, self.n_lines)

    @property
    def branches_percent(self) -> float:
        return _percent(self.n_branches_run, self.n_branches)

    @property
    def is_enough(self) -> bool:
        return min(self.lines_percent, self.branches_percent) >= TARGET_PERCENT


def of_summary(summary: Mapping[str, int]) -> Covered:
    """The summary that coverage's JSON report gives of a file."""
    return Covered(
        summary["num_statements"], summary["covered_lines"], summary["num_branches"], summary["covered_branches"]
    )


def total(parts: Iterable[Covered]) -> Covered:
    rows = [(part.n_lines, part.n_lines_run, part.n_branches, part.n_branches_run) for part in parts]
    return Covered(*map(sum, zip(*rows, strict=True)))


def spans(lines: Iterable[int]) -> str:
    """Line numbers, in rising order, as people write them: 1-3, 7."""
    runs = [[line for _, line in run] for _, run in groupby(enumerate(lines), lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def report(measured: Mapping[str, Any]) -> tuple[list[str], dict[str, Covered]]:
    """coverage's JSON report -> a line for each file under the target, and the packages."""
    files = {name: of_summary(found["summary"]) for name, found in measured["files"].items()}
    lines = [
        f"{name:40} {covered.lines_percent:5.1f} {covered.branches_percent:5.1f}  "
        f"{spans(measured['files'][name]['missing_lines'])}"
        for name, covered in sorted(files.items())
        if not covered.is_enough
    ]
    packages = {
        package: total(covered for name, covered in files.items() if name.startswith(f"{package}/"))
        for package in PACKAGES
    }
    return lines, packages


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    asked = [sys.executable, "-m", "coverage", "json", "--fail-under", "0", "-q", "-o", "-"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True)  # nosec B603 # our own command
    lines, packages = report(json.loads(done.stdout))
    print(f"{'files under ' + format(TARGET_PERCENT, 'g') + ' %':40} lines branches  missed", *lines, sep="\n")
    print(
        json.dumps(
            {
                f"{package}_{what}_percent": round(percent, 2)
                for package, covered in packages.items()
                for what, percent in (("lines", covered.lines_percent), ("branches", covered.branches_percent))
            }
        ),
        flush=True,
    )
    return 0 if all(covered.is_enough for covered in packages.values()) else 1


def _percent(n: int, of: int) -> float:
    return 100.0 * n / of if of else 100.0


if __name__ == "__main__":
    sys.exit(main())
