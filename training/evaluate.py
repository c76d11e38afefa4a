"""Embeddings + trials -> scores -> error rates with intervals over speakers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.errors import InvalidArgument
from training.bootstrap import bootstrap_interval, speaker_weights
from training.calibrate import CalibrationResult
from training.encoders import OpenedEncoder, embed_files, open_encoder
from training.heard import hear_whole
from training.metrics import (
    Scores,
    balanced_accuracy,
    best_accuracy_threshold,
    cllr_bits,
    eer,
    error_curve,
    min_cllr_bits,
    min_dcf,
    rates_at,
)
from training.report import draw_det, draw_histogram
from training.trial_scores import score_trials, trial_llrs, validation_trials
from training.trials import Trials

P_TARGET = 0.01


@dataclass(frozen=True)
class CalibratedRates:
    """What a calibration and its operating points do on a trial list."""

    calibration_id: str
    cllr_bits: float
    min_cllr_bits: float
    fmr: Mapping[str, float]
    fnmr: Mapping[str, float]


@dataclass(frozen=True)
class Evaluation:
    """One encoder on one trial list by one kind of score. Rates are fractions, intervals 95 % over speakers."""

    encoder: str
    encoder_id: str
    trials: str
    score: str
    n_target: int
    n_non_target: int
    n_speakers: int
    eer: float
    eer_interval: tuple[float, float]
    eer_threshold: float
    min_dcf: float
    p_target: float
    accuracy: float
    """Balanced: the mean of the shares of target and of non-target trials that are on their right side."""
    accuracy_threshold: float
    accuracy_threshold_from: str
    calibrated: CalibratedRates | None = None


def evaluate_scores(
    trials: Trials,
    scores: Scores,
    *,
    encoder: str,
    encoder_id: str,
    kind: str,
    threshold: tuple[float, str] | None = None,
    calibrated: CalibratedRates | None = None,
) -> Evaluation:
    """`threshold` is the accuracy threshold and where it comes from; without one, the list's own EER threshold."""
    curve = error_curve(scores, trials.labels)
    rate, eer_threshold = eer(curve)
    chosen, source = threshold or (eer_threshold, "this list's own EER: optimistic")

    def resampled(weights: NDArray[np.float64]) -> float:
        return eer(error_curve(scores, trials.labels, speaker_weights(trials, weights)))[0]

    return Evaluation(
        encoder=encoder,
        encoder_id=encoder_id,
        trials=trials.name,
        score=kind,
        n_target=int(trials.labels.sum()),
        n_non_target=int((~trials.labels).sum()),
        n_speakers=trials.n_speakers,
        eer=rate,
        eer_interval=bootstrap_interval(trials, resampled),
        eer_threshold=eer_threshold,
        min_dcf=min_dcf(curve, P_TARGET),
        p_target=P_TARGET,
        accuracy=balanced_accuracy(scores, trials.labels, chosen),
        accuracy_threshold=chosen,
        accuracy_threshold_from=source,
        calibrated=calibrated,
    )


def evaluate(
    encoder_path: Path,
    lists: Sequence[Trials],
    out: Path,
    *,
    kinds: tuple[str, ...] = ("cosine",),
    data: Path | None = None,
    calibration: CalibrationResult | None = None,
) -> list[Evaluation]:
    """Scores trial lists; writes NAME-KIND.json, -det.png and -scores.png into `out` for each.

    With `data`, the accuracy threshold is chosen on the prepared data set's validation speakers.
    """
    opened = open_encoder(encoder_path)
    if calibration and calibration.encoder_id != opened.encoder_id:
        raise InvalidArgument(
            f"the calibration was fitted to encoder {calibration.encoder_id}, and {encoder_path} is {opened.encoder_id}"
        )
    thresholds = _validation_thresholds(opened, data, kinds) if data else {}
    out.mkdir(parents=True, exist_ok=True)
    results = []
    for trials in lists:
        embeddings = embed_files(opened.module, trials.paths, trials.name)
        for kind in kinds:
            scores = score_trials(trials, embeddings, kind, opened.siamese)
            result = evaluate_scores(
                trials,
                scores,
                encoder=opened.name,
                encoder_id=opened.encoder_id,
                kind=kind,
                threshold=thresholds.get(kind),
                calibrated=_calibrated(trials, opened, calibration) if calibration and kind == "cosine" else None,
            )
            _write_report(trials, scores, result, out)
            results.append(result)
    return results


def _write_report(trials: Trials, scores: Scores, result: Evaluation, out: Path) -> None:
    stem = f"{trials.name}-{result.score}"
    (out / f"{stem}.json").write_text(json.dumps(asdict(result), indent=2) + "\n", encoding="utf-8")
    draw_det({trials.name: error_curve(scores, trials.labels)}, out / f"{stem}-det.png")
    draw_histogram(scores, trials.labels, result.eer_threshold, result.score, out / f"{stem}-scores.png")


def _calibrated(trials: Trials, opened: OpenedEncoder, calibration: CalibrationResult) -> CalibratedRates:
    heard = hear_whole(opened.module, trials.paths, f"{trials.name} for LLRs")
    llrs = trial_llrs(trials, heard, calibration.likelihood)
    rates = {name: rates_at(llrs, trials.labels, point.llr) for name, point in calibration.operating_points.items()}
    return CalibratedRates(
        calibration_id=calibration.calibration_id,
        cllr_bits=cllr_bits(llrs, trials.labels),
        min_cllr_bits=min_cllr_bits(llrs, trials.labels),
        fmr={name: fmr for name, (fmr, _) in rates.items()},
        fnmr={name: fnmr for name, (_, fnmr) in rates.items()},
    )


def _validation_thresholds(opened: OpenedEncoder, data: Path, kinds: tuple[str, ...]) -> dict[str, tuple[float, str]]:
    trials, embeddings = validation_trials(opened, data)
    source = f"{trials.n_speakers} validation speakers"
    scores = {kind: score_trials(trials, embeddings, kind, opened.siamese) for kind in kinds}
    return {kind: (best_accuracy_threshold(scores[kind], trials.labels), source) for kind in kinds}
