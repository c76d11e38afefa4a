"""A bundle + what was measured of it since -> the same bundle with another card."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from model.bundle import load_bundle, seal_card
from training.model_card import model_card
from training.reports import ALL, measured_with, read_report


def describe(folder: Path, evaluations: Sequence[Path], history: Sequence[Path] = ()) -> Path:
    """Writes card.md and bundle.json of a bundle anew, whole or not at all; encoder, calibration and their ids stay.

    `evaluations` and `history` are reports of `vouch-train evaluate`. Raises InvalidArgument where they measured another
    encoder, or rates at the thresholds of another calibration.
    """
    bundle = load_bundle(folder)
    calibration_id = bundle.card["calibration"]["calibration_id"]
    measured = [row for path in evaluations for row in measured_with(path, bundle.encoder_id, calibration_id)]
    before = [row for path in history for row in read_report(path).evaluations if row.slice == ALL]
    card = {
        **bundle.card,
        "evaluations": [asdict(row) for row in measured if row.slice == ALL],
        "history": [asdict(row) for row in before],
    }
    with tempfile.TemporaryDirectory(dir=folder.resolve().parent) as scratch:
        fresh, replaced = Path(scratch) / "bundle", Path(scratch) / "replaced"
        shutil.copytree(folder, fresh)
        seal_card(fresh, card, lambda told: model_card(told, measured, before))
        load_bundle(fresh)
        folder.rename(replaced)
        fresh.rename(folder)
    return folder
