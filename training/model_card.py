"""bundle.json + report -> card.md: the same facts as prose and tables, made and never edited."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from training.licences import licence_of
from training.report_rows import number, number_interval, on_best_scale, percent, percent_interval, slice_label
from training.reports import ALL, Evaluation
from training.served_worse import served_worse

_FEATURES = {
    "speech": "net speech",
    "speech_both": "net speech",
    "clips": "number of clips",
    "clips_both": "number of clips",
    "clarity": "signal-to-noise ratio",
    "clarity_both": "signal-to-noise ratio",
}
"""What the calibration knows beside the score, in words."""


def model_card(card: Mapping[str, Any], measured: Sequence[Evaluation] = (), history: Sequence[Evaluation] = ()) -> str:
    """Markdown. `card` is what bundle.json says, `measured` are this encoder's evaluations, `history` those of encoders
    before it."""
    rows = on_best_scale(measured)
    whole = [row for row in rows if row.slice == ALL]
    slices = [row for row in rows if row.slice != ALL and row.slice.on != "probe"]
    kinds = card["calibration_data"].get("kinds", [])
    sections = [
        [f"# Model card: {card['bundle_id']}", "", "Made by `vouch-train`; do not edit.", "", *_facts(card)],
        ["## Data and licences", "", *_data(card, dict.fromkeys(row.trials for row in whole))],
        ["## Operating points", "", *_operating_points(card)],
        *([["## What the LLRs are worth", "", *_kinds(card["calibration_data"])]] if kinds else []),
        ["## Error rates", "", *_error_rates(whole)],
    ]
    if slices:
        sections.append(["## Where it gets harder", "", *_slices(slices)])
    if rows:
        sections.append(["## Whom it serves worse", "", *_bullets(served_worse(rows))])
    sections.append(["## Limits", "", *_bullets(card.get("limits", []))])
    if history:
        before = ["Encoders before this one, on the same lists.", "", *_history(history)]
        sections.append(["## History", "", *before])
    return "\n".join(line for section in sections for line in [*section, ""])


def _facts(card: Mapping[str, Any]) -> Iterable[str]:
    training, calibration = card.get("training", {}), card["calibration_data"]
    size = f"{card['n_parameters']:,} parameters, " if card.get("n_parameters") else ""
    yield f"- **Encoder** `{card['encoder_id']}`: {size}{card['n_embedding']}-dimensional embedding; licence {card['licence']}."
    yield f"- **Trained** {_trained(training)}."
    known = [_FEATURES.get(term["feature"], term["feature"]) for term in card["calibration"].get("terms", [])]
    of_what = f"score and {', '.join(dict.fromkeys(known))}" if known else "score alone"
    where = "on speakers that the fit did not hear" if calibration.get("is_held_out") else "there"
    yield (
        f"- **Calibrated** on {calibration['fitted_on']}, LLR from {of_what}: Cllr {number(calibration['cllr_bits'])} bits {where}, "
        f"least possible {number(calibration['min_cllr_bits'])}. Id `{card['calibration']['calibration_id']}`."
    )
    normalisation = calibration.get("normalisation")
    if normalisation:
        yield f"- **Score normalisation** (AS-norm) is {'on' if normalisation['is_on'] else 'off'}: {normalisation['reason']}."


def _trained(training: Mapping[str, Any]) -> str:
    start, recipe = training.get("initialisation", "unknown"), training.get("recipe")
    if not recipe:
        return f"elsewhere, on {', '.join(training.get('data', {}).get('corpora', ['unknown corpora']))}: {start}"
    words = f"from {start} weights by recipe `{recipe['name']}`: {training['steps']:,} steps, {training['elapsed_s'] / 60:,.0f} minutes"
    data = training["data"]
    words += f", on {data['n_speakers']:,} speakers, {data['n_clips']:,} clips, {data['hours']:g} hours"
    teacher = training.get("teacher")
    if not teacher:
        return f"{words}; no teacher"
    words += f"; taught to match the embeddings of {teacher['name']} (`{teacher['encoder_id']}`)"
    return f"{words}, {teacher['initialisation']}" if "initialisation" in teacher else words


def _data(card: Mapping[str, Any], lists: Iterable[str]) -> Iterable[str]:
    trained_on = card.get("training", {}).get("data", {}).get("corpora", [])
    yield "| corpus or trial list | used for | licence |"
    yield "| --- | --- | --- |"
    for corpus in trained_on:
        yield f"| {corpus} | training | {licence_of(corpus)} |"
    for corpus in card["calibration_data"].get("corpora", []):
        yield f"| {corpus} | calibration, on speakers that were not trained on | {licence_of(corpus)} |"
    for name in lists:
        yield f"| {name} | measuring | {licence_of(name)} |"


def _operating_points(card: Mapping[str, Any]) -> Iterable[str]:
    yield "What each threshold came to on the speakers that it was chosen on."
    yield ""
    yield "| name | accept from LLR | FMR % [95 %] | FNMR % [95 %] | measured on |"
    yield "| --- | --- | --- | --- | --- |"
    for name, point in card["operating_points"].items():
        yield (
            f"| `{name}` | {point['llr']:.3f} | {percent(point['fmr'])} {percent_interval(point['fmr_interval'])} "
            f"| {percent(point['fnmr'])} {percent_interval(point['fnmr_interval'])} "
            f"| {point['measured_on']} ({point['n_target']:,} + {point['n_non_target']:,} trials) |"
        )
    for name, why in card["calibration_data"].get("unsupported_operating_points", {}).items():
        yield ""
        yield f"`{name}` is not written: {why}."


def _kinds(calibration: Mapping[str, Any]) -> Iterable[str]:
    """By kind of trial, as the calibration measured it; the lists below are another matter."""
    heard = (
        "that the fit did not hear" if calibration["is_held_out"] else "that it was fitted on, too few to hold any out"
    )
    yield f"On the calibration's own corpora, between speakers {heard}. Cllr in bits."
    yield ""
    yield "| trials | target + non-target | Cllr, least / actual |"
    yield "| --- | --- | --- |"
    for kind in calibration["kinds"]:
        yield (
            f"| {kind['trials']} | {kind['n_target']:,} + {kind['n_non_target']:,} "
            f"| {number(kind['min_cllr_bits'])} / {number(kind['cllr_bits'])} |"
        )


def _error_rates(rows: Sequence[Evaluation]) -> Iterable[str]:
    if not rows:
        yield "Not measured: export the bundle with `--evaluation report.json`."
        return
    yield (
        "Measured by `vouch-train evaluate`; intervals are 95 % over speakers. A cost is a share of what always giving the same "
        "answer costs, least at the best threshold for the list and actual at the LLR's own; Cllr is in bits."
    )
    yield ""
    yield "| trial list | reference | trials | speakers | EER % | DCF(0.01), least / actual | DCF(0.05), least / actual | Cllr, least / actual |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for row in rows:
        costs = " | ".join(_least_and_actual(cost.min_dcf, cost.act_dcf) for cost in row.detection_costs)
        yield (
            f"| {row.trials} | {_reference(row)} | {row.n_target:,} + {row.n_non_target:,} | {row.n_speakers} "
            f"| {percent(row.eer)} {percent_interval(row.eer_interval)} | {costs} | {_cllr(row)} |"
        )
    calibrated = [(row, row.calibrated) for row in rows if row.calibrated]
    if calibrated:
        names = list(calibrated[0][1].fmr)
        yield ""
        yield "At the thresholds above, on the same lists: FMR / FNMR in percent, each with its interval."
        yield ""
        yield "| trial list | reference | " + " | ".join(f"`{name}`" for name in names) + " |"
        yield "| --- | --- |" + " --- |" * len(names)
        for row, rates in calibrated:
            cells = (
                f"{percent(rates.fmr[name])} {percent_interval(rates.fmr_interval[name])} / "
                f"{percent(rates.fnmr[name])} {percent_interval(rates.fnmr_interval[name])}"
                for name in names
            )
            yield f"| {row.trials} | {_reference(row)} | " + " | ".join(cells) + " |"


def _slices(rows: Sequence[Evaluation]) -> Iterable[str]:
    point = next((name for row in rows if row.calibrated for name in row.calibrated.fmr), None)
    rates = f" | FMR / FNMR % at `{point}`" if point else ""
    yield "One clip against one. Conditions are put on both clips; trials with a clip that has too little speech are left out."
    yield ""
    yield f"| trial list | slice | trials | EER % | Cllr, least / actual{rates} |"
    yield "| --- | --- | --- | --- | --- |" + (" --- |" if point else "")
    for row in rows:
        at_point = ""
        if point:
            at_point = (
                f" | {percent(row.calibrated.fmr[point])} / {percent(row.calibrated.fnmr[point])}"
                if row.calibrated
                else " | –"
            )
        yield (
            f"| {row.trials} | {slice_label(row.slice)} | {row.n_target:,} + {row.n_non_target:,} "
            f"| {percent(row.eer)} {percent_interval(row.eer_interval)} | {_cllr(row)}{at_point} |"
        )


def _history(rows: Sequence[Evaluation]) -> Iterable[str]:
    yield "| encoder | trial list | score | EER % | minDCF(0.01) |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        if row.slice == ALL and row.n_enrollment_clips == 1:
            yield (
                f"| {row.encoder} | {row.trials} | {row.score} | {percent(row.eer)} {percent_interval(row.eer_interval)} "
                f"| {row.detection_costs[0].min_dcf:.2f} |"
            )


def _bullets(sentences: Iterable[str]) -> Iterable[str]:
    return (f"- {sentence}" for sentence in sentences)


def _reference(row: Evaluation) -> str:
    return f"{row.n_enrollment_clips} clip{'s' if row.n_enrollment_clips > 1 else ''}"


def _least_and_actual(least: float, actual: float | None) -> str:
    return number(least) if actual is None else f"{number(least)} / {number(actual)}"


def _cllr(row: Evaluation) -> str:
    rates = row.calibrated
    if rates is None:
        return "–"
    return f"{number(rates.min_cllr_bits)} / {number(rates.cllr_bits)} {number_interval(rates.cllr_bits_interval)}"
