"""What is publicly known of the vulnerabilities of the installed packages, and of which of them nothing was learnt.

    make audit

pip-audit asks PyPI about each package, and calls "no known vulnerabilities" what PyPI did not answer for, too. Here a
package without an answer is told by name: 1 where a vulnerability is known, 3 where nothing was learnt of some package,
unless --if-answered.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

ITSELF = "vouch"
N_NAMED = 10


@dataclass(frozen=True)
class Advisories:
    n_packages: int
    findings: Sequence[str]
    """One sentence for each known vulnerability."""
    unanswered: Sequence[str]
    """Names of packages."""

    def status(self, if_answered: bool) -> int:
        if self.findings:
            return 1
        return 3 if self.unanswered and not if_answered else 0

    def told(self) -> str:
        n_unanswered = len(self.unanswered)
        lines = list(self.findings)
        if n_unanswered:
            named = ", ".join(self.unanswered[:N_NAMED]) + (", …" if n_unanswered > N_NAMED else "")
            lines.append(
                f"NOT AUDITED: of {n_unanswered} of {self.n_packages} packages nothing is known, since PyPI's advisories "
                f"did not answer for them: {named}. Run `make audit` where PyPI can be reached."
            )
        n_answered = self.n_packages - n_unanswered
        lines.append(f"{len(self.findings)} known vulnerabilities in the {n_answered} packages that were audited")
        return "\n".join(lines)


def installed() -> Sequence[str]:
    """NAME==VERSION of every package but this one, as PyPI knows it: a build such as 2.11.0+cpu is 2.11.0 there."""
    found = {
        f"{canonicalize_name(distribution.name)}=={Version(distribution.version).public}"
        for distribution in distributions()
        if distribution.name != ITSELF
    }
    return sorted(found)


def read(output: str, asked: Sequence[str]) -> Advisories:
    """What pip-audit printed, as JSON. Where it is none, pip-audit gave up, and nothing was learnt of any package."""
    try:
        rows = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        rows = []
    answered = {canonicalize_name(row["name"]) for row in rows if "vulns" in row}
    findings = [
        f"{row['name']} {row['version']}: {vulnerability['id']}, mended in "
        f"{' or '.join(vulnerability['fix_versions']) or 'no version'}. {vulnerability['description']}"
        for row in rows
        for vulnerability in row.get("vulns", [])
    ]
    names = [requirement.partition("==")[0] for requirement in asked]
    return Advisories(len(names), findings, [name for name in names if name not in answered])


def ask(asked: Sequence[str]) -> str:
    """pip-audit's output. What it says besides is left out: "No known vulnerabilities found", also where nobody was asked."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "installed.txt"
        requirements.write_text("\n".join(asked) + "\n", encoding="utf-8")
        options = ["--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json", "--desc", "on"]
        command = [sys.executable, "-m", "pip_audit", "--requirement", str(requirements), *options]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # nosec B603 # our own command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--if-answered", action="store_true", help="0, with a warning, where nothing was learnt")
    arguments = parser.parse_args()
    asked = installed()
    advisories = read(ask(asked), asked)
    print(advisories.told(), flush=True)
    sys.exit(advisories.status(arguments.if_answered))


if __name__ == "__main__":
    main()
