"""Encoders + trial lists -> report.json and report.html: error rates with intervals over speakers, sliced and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from model.errors import InvalidArgument
from training.bootstrap import N_DRAWS
from training.conditions import CONDITIONS
from training.demographics import Speaker, read_demographics
from training.encoders import OpenedEncoder, open_encoder
from training.heard import HeardClips, hear_files
from training.measured_list import AccuracyThreshold, Contender, MeasuredList, measure_list
from training.metrics import best_accuracy_threshold
from training.report_html import render
from training.report_plots import draw_list
from training.reports import REPORT, Difference, ListFacts, Report, write_report
from training.scored_slices import FULL
from training.scorers import refuse_strays, scorer_of
from training.trial_scores import SCORE_KINDS, score_trials, validation_trials
from training.trials import Trials

PAGE = "report.html"


def evaluate(
    encoders: Sequence[Path],
    lists: Sequence[Trials],
    out: Path,
    *,
    kinds: tuple[str, ...] = ("cosine",),
    conditions: Sequence[str] = tuple(CONDITIONS),
    calibrations: Sequence[Path] = (),
    manifest: Path | None = None,
    data: Path | None = None,
    n_draws: int = N_DRAWS,
) -> Report:
    """Scores every list with every encoder and writes report.json and report.html into `out`.

    Slices and LLRs are those of the cosine; `distance` and `head` are measured on the whole lists only. With `data`, the
    accuracy threshold of bare scores is chosen on the prepared data set's validation speakers. Raises InvalidArgument for an
    unknown condition or kind of score, and for a calibration of none of the encoders.
    """
    _refuse_unknown("condition", conditions, tuple(CONDITIONS))
    _refuse_unknown("score", kinds, SCORE_KINDS)
    if len({trials.name for trials in lists}) < len(lists):
        raise InvalidArgument("two trial lists have one name; rename one, so that the report can tell them apart")
    people = read_demographics(manifest) if manifest else {}
    opened = [open_encoder(path) for path in encoders]
    refuse_strays(calibrations, [one.encoder_id for one in opened])
    contenders = [
        Contender(
            name=_name(one, opened),
            opened=one,
            scorer=scorer_of(path, one, calibrations),
            thresholds=_validation_thresholds(one, data, kinds) if data else {},
        )
        for path, one in zip(encoders, opened, strict=True)
    ]
    measured = [_measure_lists(contender, lists, kinds, conditions, people, n_draws) for contender in contenders]
    names = [trials.name for trials in lists]
    report = Report(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        n_draws=n_draws,
        encoders=tuple(contender.facts for contender in contenders),
        lists=tuple(_list_facts(trials) for trials in lists),
        evaluations=tuple(row for name in names for found in measured for row in found[name].evaluations),
        differences=tuple(
            difference for name in names for difference in _differences(name, contenders, [f[name] for f in measured])
        ),
        not_measured=tuple(
            dict.fromkeys(row for name in names for found in measured for row in found[name].not_measured)
        ),
    )
    out.mkdir(parents=True, exist_ok=True)
    write_report(report, out / REPORT)
    plots = {name: draw_list(report, name, [found[name].scored for found in measured]) for name in names}
    (out / PAGE).write_text(render(report, plots), encoding="utf-8")
    return report


def _measure_lists(
    contender: Contender,
    lists: Sequence[Trials],
    kinds: tuple[str, ...],
    conditions: Sequence[str],
    people: Mapping[Path, Speaker],
    n_draws: int,
) -> dict[str, MeasuredList]:
    """Hears each clip once, however many lists it is in."""
    paths = tuple(dict.fromkeys(path for trials in lists for path in trials.paths))
    chosen = {name: CONDITIONS[name] for name in dict.fromkeys((FULL, *conditions))}
    heard = hear_files(contender.opened.module, paths, chosen, contender.name) if "cosine" in kinds else {}
    index_of = {path: index for index, path in enumerate(paths)}
    found = {}
    for trials in lists:
        clips = np.array([index_of[path] for path in trials.paths])
        of_list = {name: _of_list(everything, clips, len(paths)) for name, everything in heard.items()}
        found[trials.name] = measure_list(contender, trials, kinds, of_list, people, n_draws)
    return found


def _of_list(heard: HeardClips, clips: np.ndarray, n_clips: int) -> HeardClips:
    """What was heard of some clips, numbered by their place among them."""
    place = np.full(n_clips, -1)
    place[clips] = np.arange(len(clips))
    rows = np.flatnonzero(place[heard.clips] >= 0)
    return HeardClips(place[heard.clips[rows]], heard.embeddings[rows], heard.speech_s[rows], heard.snr_db[rows])


def _differences(name: str, contenders: Sequence[Contender], found: Sequence[MeasuredList]) -> list[Difference]:
    return [
        Difference(name, contender.name, contenders[0].name, difference.value, difference.interval)
        for contender, measured in zip(contenders[1:], found[1:], strict=True)
        for difference in [measured.eer - found[0].eer]
    ]


def _name(one: OpenedEncoder, opened: Sequence[OpenedEncoder]) -> str:
    """Two runs of one recipe have one name; then the id tells them apart."""
    is_alone = [other.name for other in opened].count(one.name) == 1
    return one.name if is_alone else f"{one.name}-{one.encoder_id[:8]}"


def _list_facts(trials: Trials) -> ListFacts:
    n_target = int(trials.labels.sum())
    return ListFacts(trials.name, len(trials.paths), n_target, len(trials.labels) - n_target, trials.n_speakers)


def _refuse_unknown(what: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise InvalidArgument(f"there is no {what} {name!r}; there are {', '.join(known)}")


def _validation_thresholds(opened: OpenedEncoder, data: Path, kinds: tuple[str, ...]) -> dict[str, AccuracyThreshold]:
    trials, embeddings = validation_trials(opened, data)
    source = f"{trials.n_speakers} validation speakers"
    scores = {kind: score_trials(trials, embeddings, kind, opened.siamese) for kind in kinds}
    return {kind: (best_accuracy_threshold(scores[kind], trials.labels), source) for kind in kinds}
