"""A report and its plots -> one HTML page that needs nothing else."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from training.plots import colour_of
from training.report_plots import ListPlots
from training.report_rows import (
    cosine_beside,
    number,
    number_interval,
    percent,
    percent_interval,
    slice_label,
    slice_rows,
    whole_lists,
)
from training.reports import Report

CLOSE_BITS = 0.05
CLOSE_DCF = 0.05
"""A calibration counts as honest where Cllr and actual cost are this near to the least possible."""


def render(report: Report, plots: Mapping[str, ListPlots]) -> str:
    """`plots` by trial list."""
    environment = Environment(
        loader=PackageLoader("training"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "percent_interval": percent_interval,
        "number": number,
        "number_interval": number_interval,
        "image": _data_uri,
    }
    lists = [
        {**_list(report, facts.name), "facts": facts, "number": index, "plots": plots[facts.name]}
        for index, facts in enumerate(report.lists, start=1)
    ]
    context: dict[str, Any] = {
        "report": report,
        "lists": lists,
        "points": list(dict.fromkeys(name for encoder in report.encoders for name in encoder.operating_points)),
        "colours": {encoder.name: colour_of(i) for i, encoder in enumerate(report.encoders)},
        "uncalibrated": [encoder.name for encoder in report.encoders if encoder.calibration_id is None],
        "close_bits": CLOSE_BITS,
        "close_dcf": CLOSE_DCF,
        "slice_label": slice_label,
    }
    return environment.get_template("report.html.j2").render(context)


def _list(report: Report, trials: str) -> dict[str, Any]:
    summary = whole_lists(report, trials)
    return {
        "summary": [(row, cosine_beside(report, row)) for row in summary],
        "lowest_eer": min(row.eer for row in summary if row.n_enrollment_clips == 1),
        "calibrated": [row for row in summary if row.calibrated],
        "slices": slice_rows(report, trials),
        "not_measured": [row for row in report.not_measured if row.trials == trials],
        "differences": [row for row in report.differences if row.trials == trials],
    }


def _data_uri(svg: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
