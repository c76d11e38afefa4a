"""bench/guide_plots.py draws each picture that docs/how-it-works.md shows."""

import re
from pathlib import Path

import numpy as np
import pytest
from guide_plots import draw

from pages import ROOT
from training.plots import Scored

SHOWN = re.findall(r"\]\(images/(how-[\w-]+\.png)\)", (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8"))


def made(name: str, separation: float) -> Scored:
    labels = np.arange(2_000) % 4 == 0
    llrs = separation * (np.random.default_rng(1).normal(size=len(labels)) + separation * (labels - 0.5))
    return Scored(name, "cosine", llrs / 20, llrs, labels, {"eer": 0.1, "fmr_1e-2": 2.0})


def test_what_the_page_shows_is_what_is_drawn(tmp_path: Path) -> None:
    scored = [made("near", 1.0), made("far", 2.5)]
    paths = draw(scored, scored[1], tmp_path / "new")
    assert sorted(path.name for path in paths) == sorted(SHOWN)
    for path in paths:
        assert path.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("name", SHOWN)
def test_a_committed_picture_is_small(name: str) -> None:
    assert (ROOT / "docs" / "images" / name).stat().st_size < 60_000
