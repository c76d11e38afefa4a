"""report.json: what `vouch-train evaluate` measured, as records; written, and read again for the model card.

The structure is described in docs/training.md, "Evaluation". Rates are fractions, costs in their own unit, intervals 95 % over
speakers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from model.errors import InvalidArgument

FORMAT_VERSION = 1
REPORT = "report.json"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Slice:
    """Which of a list's trials were scored, and what was done to their clips."""

    group: str
    """`all`, `net_speech`, `noise`, `telephone`, `gender` or `age`."""
    name: str
    """Within the group: `2 s`, `10 dB`, `female`, `children` …"""
    on: str | None = None
    """The clips that a condition was put on: `both`, or `probe`, the second of each trial; null where none was."""


ALL = Slice("all", "all")


@dataclass(frozen=True)
class DetectionCost:
    """Normalised detection costs at one prior, both errors costing 1."""

    p_target: float
    min_dcf: float
    min_dcf_interval: Interval
    act_dcf: float | None
    """At the Bayes threshold of the LLR; null where the scores are no LLRs."""
    act_dcf_interval: Interval | None


@dataclass(frozen=True)
class CalibratedRates:
    """What a calibration and its operating points do on a trial list. Rates are by operating point."""

    calibration_id: str
    cllr_bits: float
    cllr_bits_interval: Interval
    min_cllr_bits: float
    min_cllr_bits_interval: Interval
    fmr: Mapping[str, float]
    fmr_interval: Mapping[str, Interval]
    fnmr: Mapping[str, float]
    fnmr_interval: Mapping[str, Interval]


@dataclass(frozen=True)
class Evaluation:
    """One encoder on one slice of one trial list by one kind of score."""

    encoder: str
    encoder_id: str
    trials: str
    score: str
    """`llr`, `cosine`, `distance` or `head`; everything in the record is measured on it."""
    slice: Slice
    n_enrollment_clips: int
    """Clips behind the reference: 1, or 3 where the first clip of each trial is joined by two more of its speaker."""
    n_target: int
    n_non_target: int
    n_speakers: int
    eer: float
    eer_interval: Interval
    eer_threshold: float
    detection_costs: tuple[DetectionCost, ...]
    accuracy: float
    """Balanced: the mean of the shares of target and of non-target trials that are on their right side."""
    accuracy_threshold: float
    accuracy_threshold_from: str
    calibrated: CalibratedRates | None = None
    """Null where the scores are no LLRs."""


@dataclass(frozen=True)
class EncoderFacts:
    """Who was measured, in the order of the command line."""

    name: str
    encoder_id: str
    calibration_id: str | None
    """Null where the encoder came without a calibration: then there are no LLRs, and no rates at a threshold."""
    calibrated_on: str | None
    operating_points: Mapping[str, float]
    """LLR by name."""


@dataclass(frozen=True)
class ListFacts:
    name: str
    n_clips: int
    n_target: int
    n_non_target: int
    n_speakers: int


@dataclass(frozen=True)
class Difference:
    """An encoder against the first, on the same trials and the same draws of speakers."""

    trials: str
    encoder: str
    than: str
    eer: float
    eer_interval: Interval


@dataclass(frozen=True)
class NotMeasured:
    """A slice that a list has too little of, and how little."""

    trials: str
    slice: Slice
    n_enrollment_clips: int
    why: str


@dataclass(frozen=True)
class Report:
    created_at: str
    n_draws: int
    encoders: tuple[EncoderFacts, ...]
    lists: tuple[ListFacts, ...]
    evaluations: tuple[Evaluation, ...]
    differences: tuple[Difference, ...] = ()
    not_measured: tuple[NotMeasured, ...] = ()
    format_version: int = FORMAT_VERSION


def write_report(report: Report, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(report), indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_report(path: Path) -> Report:
    """Raises InvalidArgument where the file is not a report.json of this format."""
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = table["format_version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidArgument(f"{path} is not a report of `vouch-train evaluate`: {error}") from error
    if version != FORMAT_VERSION:
        raise InvalidArgument(f"{path} has report format {version}; this version reads {FORMAT_VERSION}")
    try:
        return TypeAdapter(Report).validate_python(table)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidArgument(f"{path} is not a report of `vouch-train evaluate`: {where}: {first['msg']}") from error


def of_whole_lists(paths: Sequence[Path]) -> list[Evaluation]:
    """What reports say of whole lists, without the slices: the history of a card. Raises InvalidArgument."""
    return [row for path in paths for row in read_report(path).evaluations if row.slice == ALL]


def history_of(card: Mapping[str, Any]) -> list[Evaluation]:
    """What a card says of encoders before its own; nothing where an earlier version wrote it in another form."""
    try:
        return TypeAdapter(list[Evaluation]).validate_python(card.get("history", []))
    except ValidationError:
        return []


def measured_with(path: Path, encoder_id: str, calibration_id: str | None = None) -> tuple[Evaluation, ...]:
    """The evaluations of one encoder in a report, for the card of a bundle.

    Raises InvalidArgument where it has none, or where its calibrated rates belong to another calibration.
    """
    report = read_report(path)
    found = tuple(row for row in report.evaluations if row.encoder_id == encoder_id)
    if not found:
        measured = ", ".join(sorted({row.encoder_id for row in report.evaluations})) or "none"
        raise InvalidArgument(
            f"{path} measured encoder {measured}, and this one is {encoder_id}; evaluate it again, or give the report as history"
        )
    other = {row.calibrated.calibration_id for row in found if row.calibrated} - {calibration_id}
    if calibration_id is not None and other:
        raise InvalidArgument(
            f"{path} has error rates at the thresholds of calibration {', '.join(sorted(other))}, and the bundle's is "
            f"{calibration_id}; evaluate it again with the calibration that ships"
        )
    return found
