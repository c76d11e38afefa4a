"""Bundle + another calibration -> the same encoder in a new bundle: stored embeddings stay valid, scores mean more."""

from __future__ import annotations

import shutil
from pathlib import Path

from model.bundle import COHORT, PROSE, load_bundle, write_card
from model.errors import InvalidArgument
from training.calibrate import CalibrationResult
from training.calibration_file import calibration_data
from training.model_card import model_card
from training.reports import history_of
from training.whole_folder import written_whole

OF_THE_WRITER = (
    *("format_version", "bundle_id", "encoder_id", "n_embedding"),
    *("calibration", "operating_points", "error_curve", "files"),
)
"""What `write_card` says by itself; the rest of the old card goes over into the new one."""


def recalibrate(bundle_path: Path, calibration: CalibrationResult, out: Path) -> Path:
    """Writes the bundle whole or not at all; `out` may be the bundle itself.

    What was measured with the old calibration is dropped: `vouch-train evaluate`, then `vouch-train card`, fills the card again.
    Raises InvalidArgument where the calibration is another encoder's.
    """
    bundle = load_bundle(bundle_path)
    if calibration.encoder_id != bundle.encoder_id:
        raise InvalidArgument(
            f"the calibration was fitted to encoder {calibration.encoder_id}, and {bundle_path} holds {bundle.encoder_id}"
        )
    about = {name: value for name, value in bundle.card.items() if name not in OF_THE_WRITER}
    about["calibration_data"] = calibration_data(calibration)
    about["evaluations"] = []
    with written_whole(out) as folder:
        for name in bundle.card["files"]:
            if name not in (COHORT, PROSE):
                shutil.copyfile(bundle_path / name, folder / name)
        write_card(
            folder,
            encoder_id=bundle.encoder_id,
            n_embedding=bundle.n_embedding,
            likelihood=calibration.likelihood,
            operating_points=calibration.operating_points,
            error_curve=calibration.error_curve,
            about=about,
            prose=lambda card: model_card(card, history=history_of(bundle.card)),
        )
        load_bundle(folder)
    return out
