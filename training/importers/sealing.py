"""Imported encoder + calibration -> the bundle that the service loads, in the folder where the encoder is."""

from __future__ import annotations

import shutil
from pathlib import Path

from model.bundle import ENCODER, FRONT_END, GRAPH, IMPORTED, load_bundle, write_card
from model.errors import InvalidArgument
from training.calibrate import CalibrationResult
from training.calibration_file import calibration_data
from training.importers.folder import read_import
from training.model_card import model_card
from training.whole_folder import written_whole


def seal(folder: Path, calibration: CalibrationResult) -> Path:
    """Writes the calibration into an imported folder, which makes it a bundle; replaces an earlier one.

    Raises InvalidArgument where the calibration is another encoder's.
    """
    facts = read_import(folder)
    if calibration.encoder_id != facts["encoder_id"]:
        raise InvalidArgument(
            f"the calibration was fitted to encoder {calibration.encoder_id}, and {folder} holds {facts['encoder_id']}"
        )
    with written_whole(folder) as fresh:
        for name in (ENCODER, FRONT_END, GRAPH, IMPORTED):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, fresh / name)
        about = {
            **facts["about"],
            "calibration_data": calibration_data(calibration),
            "evaluations": [],
            "history": [],
        }
        write_card(
            fresh,
            encoder_id=facts["encoder_id"],
            n_embedding=facts["n_embedding"],
            likelihood=calibration.likelihood,
            operating_points=calibration.operating_points,
            error_curve=calibration.error_curve,
            about=about,
            prose=model_card,
        )
        load_bundle(fresh)
    return folder
