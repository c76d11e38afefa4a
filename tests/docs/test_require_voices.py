"""`--require-voices` turns a skip for want of real voices into a failure, and leaves every other skip alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PATHS = (TESTS, TESTS.parent, TESTS.parent / "bench")
WANTS_VOICES = {
    "in the test": "import signals\ndef test(): signals.data_folder()",
    "in a fixture": """
import pytest, signals
@pytest.fixture
def folder(): return signals.data_folder()
def test(folder): pass
""",
    "at import": """
import pytest
pytest.skip("needs real voices: none here", allow_module_level=True)
""",
}


def run(folder: Path, source: str, *options: str) -> tuple[int, str]:
    """pytest's exit status and output on one file, with no voices."""
    (folder / "test_it.py").write_text(source, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "conftest",
        "-p",
        "no:cacheprovider",
        "-rs",
        *options,
        "test_it.py",
    ]
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, PATHS)),
        "VOUCH_TEST_DATA": str(folder),
        "PYTEST_ADDOPTS": "",
    }
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("where", WANTS_VOICES)
def test_a_skip_for_want_of_voices_fails(where: str, tmp_path: Path) -> None:
    status, output = run(tmp_path, WANTS_VOICES[where], "--require-voices")
    assert status != 0
    assert "--require-voices: needs real voices" in output


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (WANTS_VOICES["in the test"], ()),
        ("import pytest\ndef test(): pytest.skip('needs a CUDA device')", ("--require-voices",)),
    ],
    ids=["without the option", "for another reason"],
)
def test_any_other_skip_stays_a_skip(source: str, options: tuple[str, ...], tmp_path: Path) -> None:
    status, output = run(tmp_path, source, *options)
    assert status == 0
    assert "1 skipped" in output
