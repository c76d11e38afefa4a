"""A CalibrationResult as a file beside a run, and as what a bundle's card says of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.bundle import calibration_table, likelihood_from, operating_point_from, write_cohort
from model.det_curve import det_curve_from
from model.errors import InvalidArgument
from training.calibrate import CalibrationResult, KindMeasured, NormalisationEvidence
from training.calibration_choice import Candidate


def save_calibration(result: CalibrationResult, path: Path) -> None:
    """Writes the JSON and, where there is a cohort, NAME-cohort.npy beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cohort_file = f"{path.stem}-cohort.npy"
    if result.likelihood.cohort is not None:
        write_cohort(result.likelihood.cohort, path.parent / cohort_file)
    table = {
        "encoder_id": result.encoder_id,
        "calibration_id": result.calibration_id,
        "calibration": calibration_table(result.likelihood, cohort_file),
        "operating_points": {name: asdict(point) for name, point in result.operating_points.items()},
        "error_curve": None if result.error_curve is None else asdict(result.error_curve),
        **calibration_data(result),
    }
    path.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def load_calibration(path: Path) -> CalibrationResult:
    """Raises InvalidArgument where the file, or its cohort, is not as `vouch-train calibrate` wrote it."""
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        expected_id = table["calibration_id"]
        curve = table.get("error_curve")
        result = CalibrationResult(
            encoder_id=table["encoder_id"],
            likelihood=likelihood_from(table["calibration"], lambda name: (path.parent / name).read_bytes()),
            operating_points={n: operating_point_from(point) for n, point in table["operating_points"].items()},
            error_curve=None if curve is None else det_curve_from(curve),
            fitted_on=table["fitted_on"],
            corpora=tuple(table["corpora"]),
            cllr_bits=table["cllr_bits"],
            min_cllr_bits=table["min_cllr_bits"],
            is_held_out=table["is_held_out"],
            kinds=tuple(KindMeasured(**kind) for kind in table["kinds"]),
            candidates=tuple(Candidate(tuple(c["features"]), c["cllr_bits"]) for c in table["candidates"]),
            normalisation=NormalisationEvidence(**table["normalisation"]),
            unsupported=table["unsupported_operating_points"],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidArgument(f"{path} is not a calibration made by `vouch-train calibrate`: {error}") from error
    if result.calibration_id != expected_id:
        raise InvalidArgument(
            f"{path} was altered since `vouch-train calibrate` wrote it: its id is {expected_id}, its content "
            f"{result.calibration_id}"
        )
    return result


def calibration_data(result: CalibrationResult) -> dict[str, Any]:
    """What the card says beside the calibration itself: whom it was fitted on, what it is worth, what was tried."""
    return {
        "fitted_on": result.fitted_on,
        "corpora": list(result.corpora),
        "cllr_bits": result.cllr_bits,
        "min_cllr_bits": result.min_cllr_bits,
        "is_held_out": result.is_held_out,
        "kinds": [asdict(kind) for kind in result.kinds],
        "candidates": [asdict(candidate) for candidate in result.candidates],
        "normalisation": asdict(result.normalisation),
        "unsupported_operating_points": dict(result.unsupported),
    }
