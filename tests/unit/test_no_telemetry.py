"""Nothing that the service loads keeps or sends a record of what was run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import shipped


def test_onnx_runtime_writes_nothing_into_the_users_home(tmp_path: Path) -> None:
    """Its telemetry would begin with an id of this machine and a queue of events there."""
    environ = {
        name: value for name, value in os.environ.items() if name not in ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")
    }
    subprocess.run(
        [sys.executable, "-c", "from model.speech import SpeechDetector; SpeechDetector()"],
        env=environ | {"HOME": str(tmp_path)},
        cwd=shipped.ROOT,
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
