"""The plots of docs/how-it-works.md: what the shipped encoder's scores look like on the public trial lists.

    python bench/guide_plots.py --data ../shared/data

Hears every clip of the lists once, as `vouch-train evaluate` does, and draws with that command's own plots: LLRs of one
list as a histogram, the DET curve of each list with the operating points, and how far LLRs can be believed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from accuracy import ROOT, Hearing
from growth_plots import panels

from model.bundle import load_bundle
from model.bundle_encoder import open_encoder_in
from training.plots import Scored, draw_det, draw_histogram, draw_reliability
from training.trial_scores import score_trials, trial_llrs
from training.trials import read_trials

LISTS = ("librispeech-test-other-test", "speechocean762-dev-adults", "dspspeech20-test")
SHOWN = "speechocean762-dev-adults"
"""Whose histogram is drawn: enough trials of either kind, and sentences as a caller would speak them."""

DPI = 120
"""Under 60 KB a picture."""


def draw(scored: Sequence[Scored], shown: Scored, folder: Path) -> list[Path]:
    """Writes the three pictures into `folder`. Each of `scored` is one trial list under the list's name, with LLRs."""
    assert shown.llrs is not None
    paths = [folder / f"how-{name}.png" for name in ("llr-histogram", "det", "calibration")]
    with panels(paths[0], 1, DPI) as (axes,):
        draw_histogram(axes, shown.llrs, shown.labels, f"LLR on {shown.encoder}", shown.points)
    with panels(paths[1], 1, DPI) as (axes,):
        draw_det(axes, scored)
        axes.legend()
    with panels(paths[2], 1, DPI) as (axes,):
        draw_reliability(axes, scored)
        axes.legend()
    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--bundle", type=Path, default=ROOT / "bundles" / "default")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    hearing = Hearing(bundle.bundle_id, open_encoder_in(bundle.path, bundle.card))
    points = {name: point.llr for name, point in bundle.operating_points.items()}
    scored = {}
    for name in LISTS:
        trials = read_trials(arguments.data / "trials" / f"{name}.txt", arguments.data)
        heard = hearing.of(trials)
        cosines, llrs = score_trials(trials, heard.embeddings, "cosine"), trial_llrs(trials, heard, bundle.likelihood)
        scored[name] = Scored(name, "cosine", cosines, llrs, trials.labels, points)
    for path in draw(list(scored.values()), scored[SHOWN], arguments.out):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
