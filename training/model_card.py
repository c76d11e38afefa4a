"""bundle.json -> MODEL_CARD.md: the same facts as prose and tables, made and never edited."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def percent(rate: float) -> str:
    return f"{100 * rate:.2f}"


def _evaluation_rows(evaluations: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| encoder | trial list | score | trials (target + non-target) | speakers | EER % [95 %] | minDCF(0.01) | balanced accuracy % |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in evaluations:
        low, high = row["eer_interval"]
        lines.append(
            f"| {row['encoder']} | {row['trials']} | {row['score']} | {row['n_target']} + {row['n_non_target']} | {row['n_speakers']} "
            f"| {percent(row['eer'])} [{percent(low)}, {percent(high)}] | {row['min_dcf']:.2f} | {100 * row['accuracy']:.1f} |"
        )
    return lines


def write_model_card(card: Mapping[str, Any], out: Path) -> None:
    """Writes the card as Markdown."""
    calibration = card["calibration"]
    lines = [
        f"# Model card: {card['bundle_id']}",
        "",
        "Made from `bundle.json` by `vouch-train export`; do not edit.",
        "",
        f"- **Encoder** `{card['encoder_id']}`: {_size(card)}{card['n_embedding']}-dimensional embedding; licence {card['licence']}.",
        _origin(card["training"]),
        f"- **Calibrated** on {card['calibration_data']['fitted_on']}: LLR = {calibration['slope']:.3f} × cosine {calibration['intercept']:+.3f} (natural log), "
        f"fitted at prior {calibration['fit_prior']:g}, whose logit is taken out. Cllr {card['calibration_data']['cllr_bits']:.3f} bits, "
        f"least possible {card['calibration_data']['min_cllr_bits']:.3f}. Id `{calibration['calibration_id']}`.",
        "",
        "## Operating points",
        "",
        "| name | accept at LLR | FMR % [95 %] | FNMR % [95 %] | measured on |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, point in card["operating_points"].items():
        fmr = " – ".join(percent(x) for x in point["fmr_interval"])
        fnmr = " – ".join(percent(x) for x in point["fnmr_interval"])
        lines.append(
            f"| `{name}` | {point['llr']:.3f} | {percent(point['fmr'])} [{fmr}] | {percent(point['fnmr'])} [{fnmr}] "
            f"| {point['measured_on']} ({point['n_target']} + {point['n_non_target']} trials) |"
        )
    for name, why in card["calibration_data"]["unsupported_operating_points"].items():
        lines.append(f"\n`{name}` is not written: {why}.")
    if card["evaluations"]:
        lines += ["", "## Measured", "", *_evaluation_rows(card["evaluations"])]
        lines += _calibrated_rows(card["evaluations"])
    lines += ["", "## Limits", "", *(f"- {limit}" for limit in card["limits"])]
    if card["history"]:
        lines += [
            "",
            "## History",
            "",
            "Encoders before this one, on the same lists.",
            "",
            *_evaluation_rows(card["history"]),
        ]
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _size(card: Mapping[str, Any]) -> str:
    """Empty for an imported graph, whose parameters nobody counted."""
    return f"{card['n_parameters']:,} parameters, " if card["n_parameters"] else ""


def _origin(training: Mapping[str, Any]) -> str:
    data = training["data"]
    if "recipe" not in training:
        return f"- **Weights** {training['initialisation']}; trained there on {', '.join(data['corpora'])}."
    return (
        f"- **Trained** from random weights by recipe `{training['recipe']['name']}`: {training['steps']:,} steps, {training['elapsed_s'] / 60:.0f} minutes, "
        f"on {data['n_speakers']} speakers, {data['n_clips']:,} clips, {data['hours']} hours of {', '.join(data['corpora'])}."
    )


def _calibrated_rows(evaluations: list[dict[str, Any]]) -> list[str]:
    with_rates = [row for row in evaluations if row.get("calibrated")]
    if not with_rates:
        return []
    names = list(with_rates[0]["calibrated"]["fmr"])
    lines = [
        "",
        "The shipped calibration and thresholds on the same lists (FMR / FNMR in %, Cllr in bits):",
        "",
        "| trial list | Cllr | least Cllr | " + " | ".join(f"`{name}`" for name in names) + " |",
        "| --- | --- | --- |" + " --- |" * len(names),
    ]
    for row in with_rates:
        found = row["calibrated"]
        rates = (f"{percent(found['fmr'][name])} / {percent(found['fnmr'][name])}" for name in names)
        lines.append(
            f"| {row['trials']} | {found['cllr_bits']:.3f} | {found['min_cllr_bits']:.3f} | " + " | ".join(rates) + " |"
        )
    return lines
