"""Scores of speakers that were neither trained nor tested on -> how scores become LLRs, and operating points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.bundle import calibration_id_of
from model.calibration import Floats, SideInformation
from model.decision import OperatingPoint
from model.det_curve import DetCurve
from model.errors import InvalidArgument
from model.likelihood import LikelihoodModel, Side, normalised, place
from model.scoring import Cohort
from training.calibration_choice import (
    Candidate,
    ScoredSet,
    best_of,
    fit_sets,
    held_out_llrs,
    mean_cllr,
    rate_candidates,
)
from training.calibration_trials import TrialSet, calibration_trials, conditions_to_hear, every_pair
from training.cohorts import MIN_VOICES, Voices, hear_voices
from training.dataset import PreparedUtterance, read_prepared, rows_sha256
from training.det_curves import det_curve
from training.encoders import open_encoder
from training.heard import HeardClips, hear_files
from training.metrics import Labels, Scores, cllr_bits, min_cllr_bits
from training.operating_points import operating_points
from training.populations import Populations, populations
from training.trials import Trials

FIT_PRIOR = 0.5
MIN_GAIN_BITS = 0.01
"""What AS-norm must save to be on: with it, no threshold on the cosine can be named before the voices are known."""
SPEECH_BINS_S = (0.0, 1.0, 2.0, 5.0, np.inf)


@dataclass(frozen=True)
class KindMeasured:
    """What the LLRs are worth on one kind of trials, between speakers that the fit did not hear."""

    trials: str
    n_target: int
    n_non_target: int
    cllr_bits: float
    min_cllr_bits: float


@dataclass(frozen=True)
class NormalisationEvidence:
    """Whether AS-norm helps voices whose corpus the cohort does not know: the only ones that a service will meet."""

    is_on: bool
    cllr_bits_without: float | None
    cllr_bits_with: float | None
    reason: str


@dataclass(frozen=True)
class CalibrationResult:
    encoder_id: str
    """The encoder whose scores these were; no other may use this calibration."""
    likelihood: LikelihoodModel
    operating_points: Mapping[str, OperatingPoint]
    error_curve: DetCurve | None
    """None in a file of an earlier version."""
    fitted_on: str
    corpora: tuple[str, ...]
    cllr_bits: float
    """Of whole clips, one against one, on speakers that the fit did not hear where there are enough; likewise the next."""
    min_cllr_bits: float
    is_held_out: bool
    kinds: tuple[KindMeasured, ...]
    candidates: tuple[Candidate, ...]
    normalisation: NormalisationEvidence
    unsupported: Mapping[str, str]
    """Operating points that the data does not support, and why."""

    @property
    def calibration_id(self) -> str:
        return calibration_id_of(self.likelihood, self.operating_points)


def calibrate_encoder(encoder_path: Path, data: Path) -> CalibrationResult:
    """Calibrates a run, a checkpoint, a bundle or an imported encoder on a prepared data set's validation speakers.

    Raises InvalidArgument where the encoder is known to have been trained on other clips than the data set's train
    split: these validation speakers may be among those it knows.
    """
    opened = open_encoder(encoder_path)
    rows = read_prepared(data / "utterances.csv")
    training = [row for row in rows if row.utterance.split == "train"]
    if opened.training_sha256 not in (None, rows_sha256(training)):
        raise InvalidArgument(
            f"{encoder_path} was trained on other clips than the train split of {data}, so {data}'s validation speakers "
            "may be among those it knows; give the data set that it was trained on"
        )
    held_out = [row for row in rows if row.utterance.split == "validation"]
    if not held_out:
        raise InvalidArgument(f"{data} has no validation speakers")
    paths = [row.utterance.path for row in held_out]
    heard = hear_files(opened.module, paths, conditions_to_hear(), "validation")
    # A cohort is judged by voices of corpora that are not in it; with a single corpus there are none.
    voices = hear_voices(opened.module, training) if _can_judge_cohorts(training, held_out) else None
    return calibrate(held_out, heard, voices, encoder_id=opened.encoder_id)


def calibrate(
    rows: Sequence[PreparedUtterance],
    heard: Mapping[str, HeardClips],
    voices: Voices | None,
    *,
    encoder_id: str,
) -> CalibrationResult:
    """Fits to the rows' clips, `heard` under `conditions_to_hear`.

    Raises InvalidArgument where there are not both target and non-target trials.
    """
    speakers = speaker_numbers(rows)
    meeting = populations([row.utterance for row in rows])
    sets = calibration_trials(heard, speakers, meeting.numbers)
    names = tuple(sorted(set(meeting.corpora)))
    fitted_on = (
        f"{len(np.unique(speakers))} validation speakers of {', '.join(names)}, {len(rows)} clips, {meeting.strangers}"
    )
    whole = every_pair(heard, speakers, meeting.numbers)
    if not whole.labels.any() or whole.labels.all():
        raise InvalidArgument(
            f"calibration needs two speakers with two clips at least; {fitted_on} give {int(whole.labels.sum())} target "
            f"and {int((~whole.labels).sum())} non-target trials"
        )
    plain = [scored(each, None) for each in sets]
    candidates = rate_candidates(plain, FIT_PRIOR)
    features = best_of(candidates).features
    normalisation = _judge_normalisation(sets, meeting, features, voices)
    cohort = voices.cohort() if voices is not None and normalisation.is_on else None
    fit_on = [scored(each, cohort) for each in sets] if cohort is not None else plain
    likelihood = LikelihoodModel(fit_sets(fit_on, features, FIT_PRIOR), cohort)
    kinds, is_held_out = _measure(fit_on, likelihood)
    trials, llrs = as_list(whole), llrs_of(likelihood, whole)
    measured_on = f"{fitted_on}, whole clips, one against one"
    points, unsupported = operating_points(trials, llrs, measured_on)
    of_whole = next((kind for kind in kinds if kind.trials == whole.name), None)
    return CalibrationResult(
        encoder_id=encoder_id,
        likelihood=likelihood,
        operating_points=points,
        error_curve=det_curve(trials, llrs, points.values(), measured_on),
        fitted_on=fitted_on,
        corpora=names,
        cllr_bits=of_whole.cllr_bits if of_whole else cllr_bits(llrs, whole.labels),
        min_cllr_bits=of_whole.min_cllr_bits if of_whole else min_cllr_bits(llrs, whole.labels),
        is_held_out=is_held_out,
        kinds=kinds,
        candidates=tuple(candidates),
        normalisation=normalisation,
        unsupported=unsupported,
    )


def speaker_numbers(rows: Sequence[PreparedUtterance]) -> NDArray[np.int64]:
    """(n_clips,): equal for clips of one speaker."""
    numbers: NDArray[np.int64] = np.unique([row.utterance.speaker for row in rows], return_inverse=True)[1]
    return numbers


def scored(trials: TrialSet, cohort: Cohort | None) -> ScoredSet:
    """The trials with the score that is calibrated, and what is known of their sides."""
    a, b = _sides(trials, cohort)
    return ScoredSet(
        name=trials.name,
        weight=trials.weight,
        is_clean=trials.is_clean,
        scores=normalised(trials.cosines(), a, b),
        labels=trials.labels,
        a=a.information,
        b=b.information,
        speakers_a=trials.a.speakers[trials.a_index],
        speakers_b=trials.b.speakers[trials.b_index],
    )


def _sides(trials: TrialSet, cohort: Cohort | None) -> tuple[Side, Side]:
    placed = [place(sides.embeddings, sides.information, cohort) for sides in (trials.a, trials.b)]
    return placed[0][trials.a_index], placed[1][trials.b_index]


def llrs_of(likelihood: LikelihoodModel, trials: TrialSet) -> Scores:
    """(n_trials,)."""
    return likelihood.llr(trials.cosines(), *_sides(trials, likelihood.cohort))


def _judge_normalisation(
    sets: Sequence[TrialSet], meeting: Populations, features: Sequence[str], voices: Voices | None
) -> NormalisationEvidence:
    """With a cohort of each corpus's neighbours, AS-norm looks better than it is: users are nobody's neighbours."""
    without: list[float] = []
    with_cohort: list[float] = []
    for corpus in sorted(set(meeting.corpora)):
        cohort = None if voices is None else voices.cohort(without_corpus=corpus)
        if cohort is None:
            return NormalisationEvidence(
                False,
                None,
                None,
                f"there are not {MIN_VOICES} training speakers of other corpora than {corpus} to judge it by",
            )
        numbers = meeting.of_corpus(corpus)
        own = [each.among(np.isin(each.a.populations[each.a_index], numbers)) for each in sets]
        costs = [
            mean_cllr(held_out_llrs([scored(each, c) for each in own], features, FIT_PRIOR)) for c in (None, cohort)
        ]
        if costs[0] is None or costs[1] is None:
            return NormalisationEvidence(False, None, None, f"{corpus} has too few validation speakers to judge it by")
        without.append(costs[0])
        with_cohort.append(costs[1])
    before, after = float(np.mean(without)), float(np.mean(with_cohort))
    is_on = after < before - MIN_GAIN_BITS
    verdict = "better" if is_on else "not enough better" if after < before else "no better"
    return NormalisationEvidence(is_on, before, after, f"{verdict} for voices whose corpus the cohort does not know")


def _measure(sets: Sequence[ScoredSet], likelihood: LikelihoodModel) -> tuple[tuple[KindMeasured, ...], bool]:
    """Every kind of trials, then those of clips as they come by their net speech; by the fit itself where folds are too few."""
    calibration = likelihood.calibration
    features = tuple(term.feature for term in calibration.terms)
    found = held_out_llrs(sets, features, FIT_PRIOR)
    is_held_out = bool(found)
    rated = found or [(each, calibration.llr(each.scores, each.a, each.b)) for each in sets]
    kinds = [_kind(each.name, each.labels, llrs) for each, llrs in rated]
    for n_clips in sorted({float(np.max(each.a.n_clips)) for each, _ in rated}):
        chosen = [(e, llrs) for e, llrs in rated if float(np.max(e.a.n_clips)) == n_clips and e.is_clean]
        least_s = np.concatenate([least_speech_s(each.a, each.b) for each, _ in chosen])
        labels = np.concatenate([each.labels for each, _ in chosen])
        llrs = np.concatenate([llrs for _, llrs in chosen])
        for low, high in pairwise(SPEECH_BINS_S):
            inside = (least_s >= low) & (least_s < high)
            name = (
                f"{n_clips:g} against 1, {low:g} to {high:g} s"
                if np.isfinite(high)
                else f"{n_clips:g} against 1, {low:g} s on"
            )
            kinds.append(_kind(name, labels[inside], llrs[inside]))
    return tuple(kind for kind in kinds if kind is not None), is_held_out


def _kind(name: str, labels: Labels, llrs: Scores) -> KindMeasured | None:
    n_target = int(labels.sum())
    if not 0 < n_target < len(labels):
        return None
    return KindMeasured(name, n_target, len(labels) - n_target, cllr_bits(llrs, labels), min_cllr_bits(llrs, labels))


def least_speech_s(a: SideInformation, b: SideInformation) -> Floats:
    """Net speech a clip on the side that has less of it."""
    return np.minimum(np.asarray(a.speech_s) / a.n_clips, np.asarray(b.speech_s) / b.n_clips)


def as_list(trials: TrialSet) -> Trials:
    """For the bootstrap; a clip's number is its row, and it has no path."""
    return Trials(trials.name, (), trials.a_index, trials.b_index, trials.labels, trials.a.speakers)


def _can_judge_cohorts(training: Sequence[PreparedUtterance], held_out: Sequence[PreparedUtterance]) -> bool:
    """Whether every corpus that is validated on leaves speakers of others to make a cohort of."""
    corpora = {row.utterance.corpus for row in held_out}
    return all(
        len({row.utterance.speaker for row in training if row.utterance.corpus != corpus}) >= MIN_VOICES
        for corpus in corpora
    )
