"""The README's calls, run as they are printed against the real service, give the answers that are printed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CALLS = re.findall(r"```sh\n(curl .*?)\n```\n(?:\n```json\n(.*?)\n```)?", README, flags=re.DOTALL)
CHANGING = {"request_id", "created_at", "updated_at", "enrollment_id", "id", "sha256", "calibration_id", "encoder_id"}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # A setting that it does not know, such as VOUCH_TEST_DATA, stops the service.
    unset = {name: value for name, value in os.environ.items() if not name.startswith("VOUCH_")}
    env = unset | {"VOUCH_DATA_DIR": str(tmp_path_factory.mktemp("data")), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline, pause = time.monotonic() + 60, threading.Event()
        while subprocess.run(["curl", "-fs", f"127.0.0.1:{port}/readyz"], capture_output=True, check=False).returncode:
            assert process.poll() is None, "the service stopped"
            assert time.monotonic() < deadline, "the service did not become ready"
            pause.wait(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        assert process.wait(timeout=30) in (0, -signal.SIGTERM)  # it drains, then dies of the signal it was sent


def agrees(found: Any, printed: Any, where: str = "answer") -> None:
    if isinstance(printed, dict):
        assert isinstance(found, dict), where
        assert set(found) == set(printed), where
        for key in printed.keys() - CHANGING:
            agrees(found[key], printed[key], f"{where}.{key}")
    elif isinstance(printed, list):
        assert len(found) == len(printed), where
        for i, (one, other) in enumerate(zip(found, printed, strict=True)):
            agrees(one, other, f"{where}[{i}]")
    elif isinstance(printed, float):
        assert found == pytest.approx(printed, abs=0.02, rel=0.01), where
    else:
        assert found == printed, where


def test_every_printed_call_gives_its_printed_answer(address: str) -> None:
    assert len(CALLS) >= 6
    for command, printed in CALLS:
        words = shlex.split(command.replace("\\\n", " ").replace("127.0.0.1:8000", address))
        done = subprocess.run(["curl", "-sS", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
        if printed:
            agrees(json.loads(done.stdout), json.loads(printed), command)
        else:
            assert done.stdout.strip() in ("", "204"), command


def test_the_annotated_tree_names_what_is_there() -> None:
    tree = re.search(r"```\n(app/.*?)\n```", README, flags=re.DOTALL)
    assert tree
    folder = ""
    for line in tree[1].splitlines():
        name = line.split()[0]
        if not line.startswith(" "):
            folder = name if name.endswith("/") else ""
            assert (ROOT / name).exists(), name
        else:
            assert (ROOT / folder / name).exists(), f"{folder}{name}"


def test_every_link_leads_somewhere() -> None:
    pages = ["README.md", "CONTRIBUTING.md", "docs/*.md", "client/README.md", "examples/README.md"]
    for page in sorted(path for pattern in pages for path in ROOT.glob(pattern)):
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not link.startswith(("http://", "https://")):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
