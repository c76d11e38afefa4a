"""How a benchmark ends: its figures to people, to RESULTS.md and, on request, to a program.

Every benchmark measures its ratios within one run, since the machine is shared: what it compares with ran beside it or
by turns. A run is appended to the section "Runs" at the end of RESULTS.md with the date, the machine and the command.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "RESULTS.md"
HEADING = "## Runs"
Figures = Mapping[str, object]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the figures as one line of JSON, last")
    parser.add_argument("--no-record", action="store_true", help="leave bench/RESULTS.md as it is")


def finish(arguments: argparse.Namespace, figures: Figures, notes: str) -> None:
    """Appends the run to RESULTS.md and prints the figures. `notes` are the sentences that were printed before."""
    if not arguments.no_record:
        append(RESULTS, entry(figures, notes))
    if arguments.json:
        print(json.dumps(figures), flush=True)


def entry(figures: Figures, notes: str) -> str:
    command = shlex.join(["python", *(os.path.relpath(word) if word == sys.argv[0] else word for word in sys.argv)])
    values = ", ".join(f"{name} {_short(value)}" for name, value in figures.items())
    return f"### {datetime.now(UTC):%Y-%m-%d %H:%M} · `{command}`\n\n{machine()}. {values}.\n\n{notes.strip()}\n"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def append(results: Path, text: str) -> None:
    old = results.read_text(encoding="utf-8").rstrip("\n")
    heading = "" if f"\n{HEADING}\n" in old else f"\n\n{HEADING}\n\nAs the benchmarks append them, oldest first."
    results.write_text(f"{old}{heading}\n\n{text}", encoding="utf-8")


def machine() -> str:
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{_processor()}, {n_cores} cores{load}; {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
