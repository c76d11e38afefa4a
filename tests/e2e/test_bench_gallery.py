"""bench/gallery.py on a small gallery: its figures come in one line, and those that do not depend on the machine hold."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import shipped

SCRIPT = shipped.ROOT / "bench" / "gallery.py"


def test_the_figures_of_a_small_gallery(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--speakers", "600", "--folder", str(tmp_path), "--no-record", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(shipped.ROOT)}
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300, env=environment)
    *sentences, last = done.stdout.splitlines()
    figures = json.loads(last)
    assert set(figures) == {
        "speakers",
        "over_bare_search",
        "identify_ms",
        "bare_search_ms",
        "encoder_ms",
        "top1_agreement",
        "bytes_per_reference",
        "enroll_extra_ms",
        "startup_over_read",
    }
    assert figures["speakers"] == 600
    assert figures["top1_agreement"] == 1.0
    assert figures["over_bare_search"] > 0
    assert figures["startup_over_read"] > 1, "a start reads the rows, and does more"
    assert any("600 speakers: the gallery takes" in sentence for sentence in sentences)
    assert list(tmp_path.iterdir()) == [], "the stores are gone"
