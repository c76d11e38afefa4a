"""A CalibrationResult as `vouch-train calibrate` makes it, of numbers that are written down."""

from __future__ import annotations

from collections.abc import Mapping

from model.calibration import Calibration
from model.decision import OperatingPoint
from model.det_curve import DetCurve
from model.likelihood import LikelihoodModel
from training.calibrate import CalibrationResult, KindMeasured, NormalisationEvidence
from training.calibration_choice import Candidate


def calibration_result(
    encoder_id: str,
    points: Mapping[str, OperatingPoint],
    likelihood: LikelihoodModel | None = None,
    error_curve: DetCurve | None = None,
) -> CalibrationResult:
    return CalibrationResult(
        encoder_id=encoder_id,
        likelihood=likelihood or LikelihoodModel(Calibration(9.0, -3.0, 0.5)),
        operating_points=points,
        error_curve=error_curve,
        fitted_on="a test's speakers",
        corpora=("made",),
        cllr_bits=0.3,
        min_cllr_bits=0.2,
        is_held_out=True,
        kinds=(KindMeasured("whole / whole", 30, 300, 0.3, 0.2),),
        candidates=(Candidate((), 0.3), Candidate(("speech", "speech_both"), None)),
        normalisation=NormalisationEvidence(False, None, None, "nobody to judge it by"),
        unsupported={"fmr_1e-3": "too few trials"},
    )
