"""A bundle + what was measured of it since -> the same bundle with another card."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from model.bundle import load_bundle, seal_card
from training.export import LIMITS
from training.importers.imported import IMPORT_LIMITS
from training.model_card import model_card
from training.reports import ALL, history_of, measured_with, of_whole_lists
from training.whole_folder import written_whole


def describe(
    folder: Path, evaluations: Sequence[Path], history: Sequence[Path] = (), limits: Sequence[str] | None = None
) -> Path:
    """Writes card.md and bundle.json of a bundle anew, whole or not at all; encoder, calibration and their ids stay.

    `evaluations` and `history` are reports of `vouch-train evaluate`; without the latter, the card goes on saying what it
    said of encoders before this one. `limits` replace the card's sentences on what the encoder's corpora and calibration do
    not cover, but for those that every encoder or every import has; None leaves them all. Raises InvalidArgument where they measured another
    encoder, or rates at the thresholds of another calibration.
    """
    folder = folder.resolve()
    bundle = load_bundle(folder)
    calibration_id = bundle.card["calibration"]["calibration_id"]
    measured = [row for path in evaluations for row in measured_with(path, bundle.encoder_id, calibration_id)]
    before = of_whole_lists(history) or history_of(bundle.card)
    card = {
        **bundle.card,
        "evaluations": [asdict(row) for row in measured if row.slice == ALL],
        "history": [asdict(row) for row in before],
    }
    if limits is not None:
        standing = [limit for limit in bundle.card["limits"] if limit in (*LIMITS, *IMPORT_LIMITS)]
        card["limits"] = [*standing, *limits]
    with written_whole(folder) as fresh:
        shutil.copytree(folder, fresh, dirs_exist_ok=True)
        seal_card(fresh, card, lambda told: model_card(told, measured, before))
        load_bundle(fresh)
    return folder
