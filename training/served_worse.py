"""Whom, and what, an encoder serves worse: sentences with numbers, out of a report's slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.report_rows import on_best_scale, percent, percent_interval, slice_label
from training.reports import ALL, Evaluation


@dataclass(frozen=True)
class _Pair:
    """Two groups of people, and how they are called in a sentence."""

    group: str
    names: tuple[str, str]
    words: tuple[str, str]


PAIRS = (
    _Pair("age", ("adults", "children"), ("adults", "children")),
    _Pair("gender", ("female", "male"), ("female voices", "male voices")),
)
NOT_MEASURED = (
    "Not measured by gender or age: no manifest said whose clips they are. Expect differences; measure them with "
    "`vouch-train evaluate --manifest`."
)


def served_worse(rows: Sequence[Evaluation]) -> list[str]:
    """`rows` are one encoder's; those of one clip against one are compared with each other, by LLR where there are any."""
    single = [row for row in on_best_scale(rows) if row.n_enrollment_clips == 1]
    people = [sentence for pair in PAIRS for sentence in _compared(single, pair)]
    return [*(people or [NOT_MEASURED]), *_hardest_list(single), *_hardest_conditions(single)]


def _compared(rows: Sequence[Evaluation], pair: _Pair) -> list[str]:
    sentences = []
    for trials in dict.fromkeys(row.trials for row in rows):
        by_name = {r.slice.name: r for r in rows if r.trials == trials and r.slice.group == pair.group}
        if not set(pair.names) <= set(by_name):
            continue
        groups = sorted(zip(pair.words, (by_name[name] for name in pair.names), strict=True), key=lambda g: -g[1].eer)
        (worse_name, worse), (better_name, better) = groups
        sentence = (
            f"**{_capital(worse_name)}** on {trials}: EER {_eer(worse)}, against {_eer(better)} for {better_name}"
        )
        if better.eer > 0 and worse.eer > better.eer:
            sentence += f", {worse.eer / better.eer:.1f} times as high"
        sentence += f".{_at_first_point(worse, worse_name, better, better_name)}"
        if worse.eer_interval[0] <= better.eer_interval[1]:
            sentence += f" The intervals overlap: {worse.n_speakers} and {better.n_speakers} speakers do not settle it."
        sentences.append(sentence)
    return sentences


def _at_first_point(worse: Evaluation, worse_name: str, better: Evaluation, better_name: str) -> str:
    if not (worse.calibrated and better.calibrated and worse.calibrated.fmr):
        return ""
    name = next(iter(worse.calibrated.fmr))
    turned_away = [percent(row.fnmr[name]) for row in (worse.calibrated, better.calibrated)]
    let_in = [percent(row.fmr[name]) for row in (worse.calibrated, better.calibrated)]
    return (
        f" At `{name}`, {turned_away[0]} % of own trials are turned away and {let_in[0]} % of strangers let in among "
        f"{worse_name}; among {better_name}, {turned_away[1]} % and {let_in[1]} %."
    )


def _hardest_list(rows: Sequence[Evaluation]) -> list[str]:
    whole = sorted((row for row in rows if row.slice == ALL), key=lambda row: row.eer)
    if len(whole) < 2:
        return []
    best, worst = whole[0], whole[-1]
    return [
        f"**{worst.trials}** is the hardest of the lists: EER {_eer(worst)}, against {_eer(best)} on {best.trials}."
    ]


def _hardest_conditions(rows: Sequence[Evaluation]) -> list[str]:
    """Of each kind of condition the one that costs most, and the one under which most strangers are let in."""
    whole = {row.trials: row for row in rows if row.slice == ALL}
    changed = [row for row in rows if row.slice.on == "both" and row.eer > whole[row.trials].eer]
    hardest: dict[str, Evaluation] = {}
    for row in changed:
        group = row.slice.group
        if group not in hardest or row.eer > hardest[group].eer:
            hardest[group] = row
    loosest = max(changed, key=_first_fmr, default=None)
    chosen = list(hardest.values())
    if loosest is not None and _first_fmr(loosest) > max(_first_fmr(row) for row in chosen):
        chosen.append(loosest)
    return [
        f"**{_capital(slice_label(row.slice))}** on {row.trials}: EER {_eer(row)}, against {_eer(whole[row.trials])} as "
        f"recorded.{_rates_at_first_point(row)}"
        for row in chosen
    ]


def _first_fmr(row: Evaluation) -> float:
    """At the first operating point; -1 where there is none."""
    return next(iter(row.calibrated.fmr.values()), -1.0) if row.calibrated else -1.0


def _rates_at_first_point(row: Evaluation) -> str:
    if not (row.calibrated and row.calibrated.fmr):
        return ""
    name = next(iter(row.calibrated.fmr))
    fnmr, fmr = percent(row.calibrated.fnmr[name]), percent(row.calibrated.fmr[name])
    return f" At `{name}`, {fnmr} % of own trials are turned away and {fmr} % of strangers let in."


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]


def _eer(row: Evaluation) -> str:
    return f"{percent(row.eer)} % {percent_interval(row.eer_interval)}"
