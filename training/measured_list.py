"""One encoder on one trial list: every slice scored, and what the scores are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.bootstrap import N_DRAWS
from training.demographics import Speaker
from training.encoders import OpenedEncoder, embed_files
from training.heard import HeardClips
from training.metrics import Scores, balanced_accuracy, eer, error_curve
from training.plots import Scored
from training.reports import ALL, CalibratedRates, DetectionCost, EncoderFacts, Evaluation, NotMeasured, Slice
from training.scored_slices import ScoredSlice, score_slices
from training.scorers import CosineScorer
from training.slices import restricted, too_few
from training.statistics import PRIORS, Statistic, Statistics, measure
from training.trial_scores import score_trials
from training.trials import Trials

AccuracyThreshold = tuple[float, str]
"""A threshold, and where it comes from."""
AT_LLR_ZERO: AccuracyThreshold = (0.0, "an LLR of 0 favours nobody")
OWN_THRESHOLD = "this list's own EER: optimistic"


@dataclass(frozen=True, eq=False)
class Contender:
    """An encoder under test, and what came with it."""

    name: str
    opened: OpenedEncoder
    scorer: CosineScorer
    thresholds: Mapping[str, AccuracyThreshold]
    """By kind of score, where they were chosen on other speakers."""

    @property
    def facts(self) -> EncoderFacts:
        scorer = self.scorer
        return EncoderFacts(
            self.name, self.opened.encoder_id, scorer.calibration_id, scorer.calibrated_on, scorer.operating_points
        )


@dataclass(frozen=True, eq=False)
class MeasuredList:
    evaluations: tuple[Evaluation, ...]
    not_measured: tuple[NotMeasured, ...]
    eer: Statistic
    """Over the whole list, one clip against one, by LLR where there are any."""
    scored: Scored
    """The same trials, to draw."""


def measure_list(
    contender: Contender,
    trials: Trials,
    kinds: tuple[str, ...],
    heard: Mapping[str, HeardClips],
    people: Mapping[Path, Speaker],
    n_draws: int = N_DRAWS,
) -> MeasuredList:
    """`heard` are the list's clips by condition, for the kind `cosine` and its LLRs; other kinds embed the clips anew."""
    rows: list[tuple[Evaluation, Statistics]] = []
    scored: list[Scored] = []
    not_measured = []
    for kind in kinds:
        if kind != "cosine":
            embeddings = embed_files(contender.opened.module, trials.paths, f"{trials.name} {kind}")
            scores = score_trials(trials, embeddings, kind, contender.opened.siamese)
            rows.append(evaluate_scores(contender, trials, scores, kind, n_draws=n_draws))
            scored.append(Scored(contender.name, kind, scores, None, trials.labels, {}))
            continue
        for part in score_slices(trials, heard, people, contender.scorer):
            chosen = restricted(trials, part.chosen)
            if part.slice == ALL and part.n_enrollment_clips == 1:
                points = contender.scorer.operating_points
                scored.append(Scored(contender.name, kind, part.cosines, part.llrs, trials.labels, points))
            elif why := too_few(chosen):
                not_measured.append(NotMeasured(trials.name, part.slice, part.n_enrollment_clips, why))
                continue
            rows += _of_slice(contender, chosen, part, n_draws)
    first = next((pair for pair in rows if pair[0].score == "llr"), rows[0])
    return MeasuredList(tuple(row for row, _ in rows), tuple(not_measured), first[1].eer, scored[0])


def evaluate_scores(
    contender: Contender,
    trials: Trials,
    scores: Scores,
    kind: str,
    *,
    found: Slice = ALL,
    n_enrollment_clips: int = 1,
    n_draws: int = N_DRAWS,
) -> tuple[Evaluation, Statistics]:
    """The record of some trials' scores. `kind` is `llr` for LLRs, which are then measured at the operating points too.

    Accuracy is at the contender's threshold for this kind, at 0 for LLRs, else at the list's own EER threshold.
    """
    is_llr = kind == "llr"
    points = contender.scorer.operating_points if is_llr else {}
    statistics = measure(trials, scores, are_llrs=is_llr, thresholds=points, n_draws=n_draws)
    own = eer(error_curve(scores, trials.labels))[1]
    threshold, source = AT_LLR_ZERO if is_llr else contender.thresholds.get(kind, (own, OWN_THRESHOLD))
    n_target = int(trials.labels.sum())
    record = Evaluation(
        encoder=contender.name,
        encoder_id=contender.opened.encoder_id,
        trials=trials.name,
        score=kind,
        slice=found,
        n_enrollment_clips=n_enrollment_clips,
        n_target=n_target,
        n_non_target=len(trials.labels) - n_target,
        n_speakers=trials.n_speakers,
        eer=statistics.eer.value,
        eer_interval=statistics.eer.interval,
        eer_threshold=own,
        detection_costs=tuple(_cost(statistics, p) for p in PRIORS),
        accuracy=balanced_accuracy(scores, trials.labels, threshold),
        accuracy_threshold=threshold,
        accuracy_threshold_from=source,
        calibrated=_calibrated(statistics, contender.scorer.calibration_id),
    )
    return record, statistics


def _of_slice(
    contender: Contender, trials: Trials, part: ScoredSlice, n_draws: int
) -> list[tuple[Evaluation, Statistics]]:
    """By LLR where there are any; the bare cosine beside it on the whole list only."""
    rows = []
    if part.llrs is not None:
        rows.append(("llr", part.llrs))
    if part.llrs is None or part.slice == ALL:
        rows.append(("cosine", part.cosines))
    return [
        evaluate_scores(
            contender,
            trials,
            scores,
            kind,
            found=part.slice,
            n_enrollment_clips=part.n_enrollment_clips,
            n_draws=n_draws,
        )
        for kind, scores in rows
    ]


def _cost(statistics: Statistics, p_target: float) -> DetectionCost:
    least, actual = statistics.min_dcf[p_target], statistics.act_dcf.get(p_target)
    return DetectionCost(
        p_target=p_target,
        min_dcf=least.value,
        min_dcf_interval=least.interval,
        act_dcf=actual.value if actual else None,
        act_dcf_interval=actual.interval if actual else None,
    )


def _calibrated(statistics: Statistics, calibration_id: str | None) -> CalibratedRates | None:
    cllr = statistics.cllr_bits
    if cllr is None or calibration_id is None:
        return None
    return CalibratedRates(
        calibration_id=calibration_id,
        cllr_bits=cllr.value,
        cllr_bits_interval=cllr.interval,
        min_cllr_bits=statistics.min_cllr_bits.value,
        min_cllr_bits_interval=statistics.min_cllr_bits.interval,
        fmr={name: rate.value for name, rate in statistics.fmr.items()},
        fmr_interval={name: rate.interval for name, rate in statistics.fmr.items()},
        fnmr={name: rate.value for name, rate in statistics.fnmr.items()},
        fnmr_interval={name: rate.interval for name, rate in statistics.fnmr.items()},
    )
