"""Imports of a tiny graph, and what is said of them."""

from pathlib import Path

import numpy as np

from made_calibrations import calibration_result
from model.calibration import Calibration
from model.likelihood import LikelihoodModel
from tiny_bundle import POINTS
from training.calibrate import CalibrationResult
from training.importers.folder import read_import
from training.importers.kaldi_fbank import CONVENTIONS
from training.importers.sources import ImportOptions

SAID = ImportOptions(licence="CC BY 4.0", training_data=("VoxCeleb2",), fbank=CONVENTIONS["wespeaker"])


def calibrated(folder: Path, slope: float = 9.0) -> CalibrationResult:
    likelihood = LikelihoodModel(Calibration(slope, -3.0, 0.5))
    return calibration_result(read_import(folder)["encoder_id"], POINTS, likelihood)


def noise(n_samples: int) -> np.ndarray:
    return np.random.default_rng(n_samples).normal(0, 0.1, n_samples).astype(np.float32)
