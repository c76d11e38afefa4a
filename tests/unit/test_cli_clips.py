"""The bar while clips are heard: on a terminal, where there are several, and never among the answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli_clips import by_file
from model.errors import UnsupportedAudio

pty = pytest.importorskip("pty", reason="needs a terminal, which this system has none of")

ROOT = Path(__file__).resolve().parents[2]
HEAR = "import sys; from app.cli_clips import with_progress\nn = int(sys.argv[1])\nfor i in with_progress(range(n), 'listening', n): print('answer', i)"


def on_a_terminal(n_clips: int) -> tuple[str, str]:
    """What goes to standard output, which is a pipe, and to the terminal."""
    ours, theirs = pty.openpty()
    env = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", HEAR, str(n_clips)], stdout=subprocess.PIPE, stderr=theirs, env=env, check=True
        )
        os.write(theirs, b"end")  # so that there is something to read
        return done.stdout.decode(), os.read(ours, 100_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)


def test_several_clips_have_a_bar_beside_the_answers() -> None:
    answers, terminal = on_a_terminal(3)
    assert answers == "answer 0\nanswer 1\nanswer 2\n"
    assert "listening" in terminal


def test_one_clip_has_none() -> None:
    assert on_a_terminal(1) == ("answer 0\n", "end")


def test_a_pipe_has_none() -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT), "FORCE_COLOR": "1"}
    done = subprocess.run([sys.executable, "-c", HEAR, "3"], capture_output=True, env=env, check=True)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("audio: no sound.", "a.wav: no sound."),
        ("audio_b: no sound.", "b.wav: no sound."),
        ("clip 2 of 3 has 0.1 s.", "c.wav has 0.1 s."),
        ("clip 3 of 3 has 0.1 s.", "clip 3 of 3 has 0.1 s."),
        ("audiophiles: no.", "audiophiles: no."),
    ],
)
def test_an_error_names_the_file(said: str, expected: str) -> None:
    names = {"audio": "a.wav", "audio_b": "b.wav", "clip 2 of 3": "c.wav"}
    assert by_file(UnsupportedAudio(said), names) == expected
