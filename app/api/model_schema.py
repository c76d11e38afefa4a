"""The wire form of `GET /v1/model`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

from pydantic import Field

from app.api.schemas import Answer, Fraction, Number
from app.records import ModelFacts
from model.decision import OperatingPoint
from model.det_curve import DetCurve

NO_ATTACK_DETECTION = (
    "There is no presentation-attack detection: a recording played back, a cloned or a converted voice is scored like "
    "a live one. Never let a voice be the only factor."
)


class OperatingPointAnswer(Answer):
    name: str
    llr: Number
    score: Number | None = Field(
        description="The cosine that meets it between two clips with three seconds of net speech each and no noise worth "
        "measuring. Every trial has its own, which its answer gives. null where none meets it, or where it depends on the "
        "voices because scores are normalised."
    )
    fmr: Fraction
    fnmr: Fraction
    fmr_interval: tuple[Fraction, Fraction] = Field(description="95 % bootstrap interval over speakers.")
    fnmr_interval: tuple[Fraction, Fraction]
    n_target: int
    n_non_target: int
    measured_on: str = Field(
        description="Where llr, fmr and fnmr come from: the speakers that calibration and threshold were fitted on. "
        "`error_rates[].calibrated` has the rates of the same threshold on other lists."
    )

    @classmethod
    def of(cls, point: OperatingPoint, score: float | None) -> Self:
        return cls(
            name=point.name,
            llr=point.llr,
            score=score,
            fmr=point.fmr,
            fnmr=point.fnmr,
            fmr_interval=point.fmr_interval,
            fnmr_interval=point.fnmr_interval,
            n_target=point.n_target,
            n_non_target=point.n_non_target,
            measured_on=point.measured_on,
        )


NumberInterval = tuple[Number, Number]
FractionInterval = tuple[Fraction, Fraction]


class ErrorCurveAnswer(Answer):
    """Error rates from the loosest threshold to the strictest (DET curve); every list has an entry for each threshold."""

    llrs: list[Number] = Field(description="Thresholds, rising: accept at this natural-log likelihood ratio or above.")
    fmr: list[Fraction] = Field(description="False-match rate, from 1 to 0.")
    fnmr: list[Fraction] = Field(description="False-non-match rate, from 0 to 1.")
    fmr_intervals: list[FractionInterval] = Field(description="95 % bootstrap intervals over speakers.")
    fnmr_intervals: list[FractionInterval]
    n_target: int
    n_non_target: int
    measured_on: str = Field(description="The trials of the operating points, which lie on the curve.")

    @classmethod
    def of(cls, curve: DetCurve) -> Self:
        return cls.model_validate(asdict(curve))


class CalibratedRatesAnswer(Answer):
    """What the bundle's own calibration and thresholds came to on one trial list."""

    calibration_id: str
    cllr_bits: Number = Field(description="Cost of the log-likelihood ratios; 1 bit is knowing nothing.")
    cllr_bits_interval: NumberInterval | None = Field(None, description="95 % bootstrap interval over speakers.")
    min_cllr_bits: Number = Field(description="The same after the best calibration for this list.")
    min_cllr_bits_interval: NumberInterval | None = None
    fmr: dict[str, Fraction] = Field(description="By operating point.")
    fmr_interval: dict[str, FractionInterval] | None = None
    fnmr: dict[str, Fraction] = Field(description="By operating point.")
    fnmr_interval: dict[str, FractionInterval] | None = None


class DetectionCostAnswer(Answer):
    """Normalised detection costs at one prior, both errors costing 1: a share of what always answering the same costs."""

    p_target: Fraction = Field(description="The prior.")
    min_dcf: Number = Field(description="At the best threshold for this list.")
    min_dcf_interval: NumberInterval
    act_dcf: Number | None = Field(description="At the log-likelihood ratio's own threshold; null for bare scores.")
    act_dcf_interval: NumberInterval | None


class ErrorRatesAnswer(Answer):
    """One trial list, of speakers that were not trained on.

    A list of the validation speakers is not blind: they chose the checkpoint and fitted the calibration.
    """

    trials: str = Field(description="Name of the trial list.")
    score: str = Field(description="What the rates were measured on: `llr`, or a bare score such as `cosine`.")
    n_enrollment_clips: int | None = Field(description="Clips behind each reference.")
    n_target: int
    n_non_target: int
    n_speakers: int | None
    eer: Fraction
    eer_interval: tuple[Fraction, Fraction] | None = Field(description="95 % bootstrap interval over speakers.")
    min_dcf: Number | None = Field(description="The first of `detection_costs`.")
    p_target: Fraction | None = Field(description="The prior behind min_dcf.")
    detection_costs: list[DetectionCostAnswer]
    calibrated: CalibratedRatesAnswer | None = Field(
        description="At the thresholds that the bundle ships; null where they were not tried on this list. `eer` and "
        "`min_dcf` above choose a threshold on the list itself."
    )

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """`row` is an evaluation as the bundle's card has it; one of an older bundle lacks some fields."""
        costs = row.get("detection_costs", [])
        known = {name: row.get(name) for name in cls.model_fields} | {"detection_costs": costs}
        if costs:
            known |= {name: costs[0][name] for name in ("min_dcf", "p_target")}
        return cls.model_validate(known)


class ModelAnswer(Answer):
    id: str
    sha256: str = Field(description="Of `bundle.json`, which pins every file of the bundle.")
    encoder_id: str = Field(description="Hash of front end and weights; it alone decides what may be compared.")
    n_embedding: int
    calibration_id: str
    default_operating_point: str
    prior: Fraction
    operating_points: list[OperatingPointAnswer]
    error_curve: ErrorCurveAnswer | None = Field(
        description="What other thresholds come to, on the trials of `operating_points`. null where the bundle has none."
    )
    error_rates: list[ErrorRatesAnswer] = Field(description="As measured on each trial list.")
    licence: str
    training_data: dict[str, Any] | None = Field(description="What the encoder was trained on, as its card has it.")
    limits: list[str] = Field(description="What this encoder must not be trusted with.")
    card: str | None = Field(
        description="The model card as Markdown: data and licences, rates with intervals, slices, limits, whom it serves "
        "worse. null where the bundle has none."
    )
    presentation_attack_detection: bool
    presentation_attack_notice: str
    device: str
    engine: str

    @classmethod
    def of(cls, facts: ModelFacts, default_point: str, prior: float) -> Self:
        card: Mapping[str, Any] = facts.card
        return cls(
            id=facts.bundle_id,
            sha256=facts.sha256,
            encoder_id=facts.encoder_id,
            n_embedding=facts.n_embedding,
            calibration_id=facts.calibration_id,
            default_operating_point=default_point,
            prior=prior,
            operating_points=[
                OperatingPointAnswer.of(point, facts.likelihood.nominal_cosine_at(point.llr))
                for point in facts.operating_points.values()
            ],
            error_curve=None if facts.error_curve is None else ErrorCurveAnswer.of(facts.error_curve),
            error_rates=[ErrorRatesAnswer.of(row) for row in card.get("evaluations", [])],
            licence=str(card.get("licence", "unknown")),
            training_data=card.get("training", {}).get("data"),
            limits=list(card.get("limits", [])),
            card=facts.prose,
            presentation_attack_detection=False,
            presentation_attack_notice=NO_ATTACK_DETECTION,
            device=facts.device,
            engine=facts.engine,
        )
