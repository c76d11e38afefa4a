"""Scores of speakers that were neither trained nor tested on -> LLR line and operating points."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from model.bundle import calibration_id_of, operating_point_from
from model.calibration import Calibration, logit
from model.decision import OperatingPoint
from model.errors import InvalidArgument
from training.bootstrap import bootstrap_interval, speaker_weights
from training.dataset import read_prepared, rows_sha256
from training.encoders import open_encoder
from training.metrics import Labels, Scores, cllr_bits, eer, error_curve, min_cllr_bits, rates_at
from training.trial_scores import score_trials, validation_trials
from training.trials import Trials

FIT_PRIOR = 0.5
TARGET_FMRS = {"fmr_1e-2": 1e-2, "fmr_1e-3": 1e-3}
MIN_ERRORS = 30
"""Doddington's rule of 30: with fewer errors, a rate is not known within ±30 % even for independent trials."""
MAX_INTERVAL_FACTOR = 3.0
"""A point is written only if its FMR interval over speakers stays within this factor above the target."""


@dataclass(frozen=True)
class CalibrationResult:
    encoder_id: str
    """The encoder whose scores these were; no other may use this calibration."""
    calibration: Calibration
    operating_points: Mapping[str, OperatingPoint]
    fitted_on: str
    cllr_bits: float
    min_cllr_bits: float
    unsupported: Mapping[str, str]
    """Operating points that the data does not support, and why."""


def fit_line(scores: Scores, labels: Labels, prior: float) -> tuple[float, float]:
    """(slope, intercept) of the LLR by logistic regression with the classes weighted to `prior`, its logit taken out.

    Raises InvalidArgument where the slope is not positive: such scores do not separate speakers.
    """
    weights = np.where(labels, prior / labels.sum(), (1.0 - prior) / (~labels).sum()) * len(labels)
    fitted = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    # Standardised scores: the optimiser converges alike for any encoder's scale.
    mean, spread = scores.mean(), scores.std()
    if not spread > 0:
        raise InvalidArgument("every calibration score is the same; this encoder does not tell speakers apart")
    fitted.fit(((scores - mean) / spread)[:, None], labels, sample_weight=weights)
    slope = float(fitted.coef_[0, 0]) / spread
    intercept = float(fitted.intercept_[0]) - slope * mean - logit(prior)
    if slope <= 0:
        raise InvalidArgument(f"the calibration's slope is {slope:.3g}: higher scores do not mean more alike here")
    return float(slope), float(intercept)


def calibrate(trials: Trials, scores: Scores, *, encoder_id: str, fitted_on: str) -> CalibrationResult:
    """Fits the line and the operating points that the trials support.

    Raises InvalidArgument where there are not both target and non-target trials.
    """
    if not trials.labels.any() or trials.labels.all():
        raise InvalidArgument(
            f"calibration needs two speakers with two clips at least; {fitted_on} give {int(trials.labels.sum())} "
            f"target and {int((~trials.labels).sum())} non-target trials"
        )
    line = Calibration(*fit_line(scores, trials.labels, FIT_PRIOR), FIT_PRIOR, calibration_id="")
    llrs = line.llr(scores)
    curve = error_curve(llrs, trials.labels)
    points = {"eer": _measure("eer", eer(curve)[1], llrs, trials, fitted_on)}
    unsupported = {}
    n_non_target = int((~trials.labels).sum())
    for name, fmr in TARGET_FMRS.items():
        if fmr * n_non_target < MIN_ERRORS:
            unsupported[name] = (
                f"{n_non_target} non-target trials; {MIN_ERRORS / fmr:.0f} give {MIN_ERRORS} false matches"
            )
            continue
        threshold = float(np.quantile(llrs[~trials.labels], 1.0 - fmr, method="higher"))
        point = _measure(name, np.nextafter(threshold, np.inf), llrs, trials, fitted_on)
        if point.fmr_interval[1] > MAX_INTERVAL_FACTOR * fmr:
            unsupported[name] = (
                f"with {trials.n_speakers} speakers the rate may be as high as {point.fmr_interval[1]:.2g} (95 %), "
                f"more than {MAX_INTERVAL_FACTOR:g} times the target"
            )
            continue
        points[name] = point
    calibration_id = calibration_id_of(line.slope, line.intercept, FIT_PRIOR, points)
    return CalibrationResult(
        encoder_id=encoder_id,
        calibration=replace(line, calibration_id=calibration_id),
        operating_points=points,
        fitted_on=fitted_on,
        cllr_bits=cllr_bits(llrs, trials.labels),
        min_cllr_bits=min_cllr_bits(llrs, trials.labels),
        unsupported=unsupported,
    )


def calibrate_encoder(encoder_path: Path, data: Path) -> CalibrationResult:
    """Calibrates a run, a checkpoint or a bundle on the validation speakers of a prepared data set.

    Raises InvalidArgument where the encoder is known to have been trained on other clips than the data set's train
    split: these validation speakers may be among those it knows.
    """
    opened = open_encoder(encoder_path)
    rows = read_prepared(data / "utterances.csv")
    trained_on = rows_sha256([row for row in rows if row.utterance.split == "train"])
    if opened.training_sha256 not in (None, trained_on):
        raise InvalidArgument(
            f"{encoder_path} was trained on other clips than the train split of {data}, so {data}'s validation speakers "
            "may be among those it knows; give the data set that it was trained on"
        )
    trials, embeddings = validation_trials(opened, data)
    corpora = ", ".join(sorted({row.utterance.corpus for row in rows if row.utterance.split == "validation"}))
    fitted_on = f"{trials.n_speakers} validation speakers of {corpora}, {len(trials.paths)} clips, all pairs"
    scores = score_trials(trials, embeddings, "cosine")
    return calibrate(trials, scores, encoder_id=opened.encoder_id, fitted_on=fitted_on)


def save_calibration(result: CalibrationResult, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")


def load_calibration(path: Path) -> CalibrationResult:
    """Raises InvalidArgument where the file was not made by `vouch-train calibrate`."""
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        points = {name: operating_point_from(point) for name, point in table.pop("operating_points").items()}
        return CalibrationResult(
            **{**table, "calibration": Calibration(**table["calibration"]), "operating_points": points}
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"{path} is not a calibration made by `vouch-train calibrate`: {error}") from error


def _measure(name: str, threshold: float, llrs: Scores, trials: Trials, measured_on: str) -> OperatingPoint:
    fmr, fnmr = rates_at(llrs, trials.labels, threshold)

    def rate(index: int) -> tuple[float, float]:
        def statistic(counts: NDArray[np.float64]) -> float:
            return rates_at(llrs, trials.labels, threshold, speaker_weights(trials, counts))[index]

        return bootstrap_interval(trials, statistic)

    return OperatingPoint(
        name=name,
        llr=float(threshold),
        fmr=fmr,
        fnmr=fnmr,
        fmr_interval=rate(0),
        fnmr_interval=rate(1),
        n_target=int(trials.labels.sum()),
        n_non_target=int((~trials.labels).sum()),
        measured_on=measured_on,
    )
