"""The commands of a page, typed in its order into one shell, as a reader in a clone would type them.

Of a page's fenced blocks `sh` and `python` are run; `bash` is shown only, and the line above says why: `<!-- not run: REASON -->`. A `json` or
`text` block straight below one that is run is what it prints; the key `…` stands for fields that the page leaves out. A line that serves goes
on beside the rest, as in the reader's second terminal, until `<!-- the service is stopped -->`, the next such line or the end.

What differs from the reader's clone: the environment is the one that runs the tests, so `make serve` installs nothing; and the
port is a free one, in the place of 8000, of which VOUCH_URL tells the client.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ("quickstart", "how-it-works", "operating-point", "production", "migrating", "api")
"""The guide's pages below docs/, in the README's order."""
PRINTED_ADDRESS = "127.0.0.1:8000"
STOPPED = "the service is stopped"
NOT_RUN = "not run: "
LEFT_OUT = "…"
CHANGING = {"request_id", "created_at", "updated_at", "enrollment_id", "id", "sha256", "calibration_id", "encoder_id"}
BLOCK = re.compile(
    rf"^<!-- (?P<stop>{STOPPED}) -->$"
    r"|(?:^<!-- (?P<note>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)\n^```$(?:\n\n```(?:json|text)\n(?P<answer>.*?)\n```$)?",
    flags=re.DOTALL | re.MULTILINE,
)
RUN = ("sh", "python", "stop")
"""Languages of blocks that do something."""
SERVES = re.compile(r"^(?:\w+=\S+ )*(?:make|\S*vouch) serve\b", flags=re.MULTILINE)
COPIED = ("docs", "examples")
"""Folders that commands write into; the others are links to the repository's own."""
LEFT_BEHIND = ("data", "runs")
"""What a clone does not have."""
SHELL = """
set -euo pipefail
service=
stop() {
    if [ -n "$service" ]; then
        kill "$service"
        wait "$service" || [ $? -eq 143 ]  # it drains, then dies of the signal it was sent
        service=
    fi
}
trap stop EXIT
serve_beside() {
    for _ in $(seq 300); do
        if curl -fs "$ADDRESS/readyz" > /dev/null; then return; fi
        kill -0 "$service"
        sleep 0.2
    done
    return 1
}
"""
LONGEST_S = 300
"""For a whole page on a busy machine; a page takes seconds."""


@dataclass(frozen=True)
class Block:
    """A fenced block; `note` is the comment above it, `answer` what it prints, below."""

    language: str
    text: str
    note: str = ""
    answer: str | None = None


def blocks(page: str) -> list[Block]:
    """In their order. A stop of the service is a block of the language `stop`."""
    found = []
    for match in BLOCK.finditer(page):
        if match["stop"]:
            found.append(Block("stop", ""))
        else:
            found.append(Block(match["language"], match["text"], match["note"] or "", match["answer"]))
    return found


def type_in(page: Sequence[Block], clone: Path, printed: Path) -> list[tuple[Block, str]]:
    """Runs what is to be run, in a clone (`make_clone`); each block that ran, and what it printed, which is kept in `printed`.

    Fails with the block and its errors where a command fails. Skips where there is no curl or bash.
    """
    for program in ("bash", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    ran = [block for block in page if block.language in RUN]
    printed.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = subprocess.run(
        ["bash", "-c", script(ran, printed, f"127.0.0.1:{port}")],
        cwd=clone,
        env=environment(clone, port),
        stdin=subprocess.DEVNULL,
        timeout=LONGEST_S,
        check=False,
    )
    started = sorted(int(file.stem) for file in printed.glob("*.out"))
    if done.returncode:
        errors = (printed / f"{started[-1]}.err").read_text(encoding="utf-8")
        pytest.fail(f"exit status {done.returncode} of\n{ran[started[-1]].text}\n{errors}")
    return [(block, (printed / f"{i}.out").read_text(encoding="utf-8")) for i, block in enumerate(ran)]


def script(ran: Sequence[Block], printed: Path, address: str) -> str:
    lines = [SHELL, f"ADDRESS={address}"]
    for i, block in enumerate(ran):
        text = block.text.replace(PRINTED_ADDRESS, address)
        lines.append(f"exec > '{printed}/{i}.out' 2> '{printed}/{i}.err'")
        if block.language == "stop":
            lines.append("stop")
        elif SERVES.search(text):
            (line,) = text.splitlines()
            lines += ["stop", f"{line.partition(' #')[0].rstrip()} > '{printed}/service.log' 2>&1 &"]
            lines += ["service=$!", "serve_beside"]
        elif block.language == "python":
            lines.append(f"VOUCH_URL=http://{address} '{sys.executable}' - <<'END OF BLOCK'\n{text}\nEND OF BLOCK")
        else:
            lines.append(text)
    return "\n".join(lines)


def make_clone(folder: Path) -> Path:
    """The repository as a clone has it, below `folder`, and a `.venv` that stands for what `make serve` installs."""
    clone = folder / "clone"
    clone.mkdir()
    for entry in ROOT.iterdir():
        if entry.name in COPIED:
            shutil.copytree(entry, clone / entry.name)
        elif not entry.name.startswith(".") and entry.name not in LEFT_BEHIND:
            (clone / entry.name).symlink_to(entry)
    programs = clone / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "activate").write_text(f"PATH='{programs}':'{Path(sys.executable).parent}':$PATH\n", encoding="utf-8")
    for name, command in {
        "vouch": f"'{sys.executable}' -c 'from app.cli import main; main()' \"$@\"",
        "vouch-train": f"'{sys.executable}' -c 'from training.cli import main; main()' \"$@\"",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\nexec {command}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    installed = clone / ".installed"
    installed.mkdir()
    (installed / "make").write_text('#!/bin/sh\n[ "$*" = serve ] && exec .venv/bin/vouch serve\n', encoding="utf-8")
    (installed / "make").chmod(0o755)
    return clone


def environment(clone: Path, port: int) -> dict[str, str]:
    # A setting that the service does not know, such as VOUCH_TEST_DATA, stops it.
    unset = {name: value for name, value in os.environ.items() if not name.startswith("VOUCH_")}
    return unset | {
        "PATH": f"{clone / '.installed'}:{unset['PATH']}",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}",
        "VOUCH_PORT": str(port),
        "VOUCH_DRAIN_S": "0",
        "OMP_NUM_THREADS": "1",
    }


def agrees(found: Any, printed: Any, where: str = "answer") -> None:
    """Whether an answer is the printed one, but for names and times that change and the last digits of numbers."""
    if isinstance(printed, dict):
        assert isinstance(found, dict), where
        shown = set(printed) - {LEFT_OUT}
        assert shown <= set(found) if LEFT_OUT in printed else shown == set(found), where
        for key in shown - CHANGING:
            agrees(found[key], printed[key], f"{where}.{key}")
    elif isinstance(printed, list):
        assert len(found) == len(printed), where
        for i, (one, other) in enumerate(zip(found, printed, strict=True)):
            agrees(one, other, f"{where}[{i}]")
    elif isinstance(printed, float):
        assert found == pytest.approx(printed, abs=0.02, rel=0.01), where
    else:
        assert found == printed, where


def answers_agree(typed: Sequence[tuple[Block, str]]) -> int:
    """Holds every block to what the page says that it prints; of how many it says so."""
    answered = [(block, out) for block, out in typed if block.answer is not None]
    for block, out in answered:
        agrees(_read(out), _read(block.answer or ""), block.text)
    return len(answered)


def _read(printed: str) -> Any:
    """JSON, or else the words."""
    try:
        return json.loads(printed)
    except ValueError:
        return [_number_or_word(word) for word in printed.split()]


def _number_or_word(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word
