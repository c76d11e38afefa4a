"""Which plots a report shows of one trial list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from training.plots import Scored, Whisker, bayes_error, det, histogram, reliability, whiskers
from training.report_rows import SliceRow, slice_name, slice_rows, slice_setting
from training.reports import Report


@dataclass(frozen=True)
class ListPlots:
    """Each the text of an SVG; None where there is no calibration, or no slice, to draw."""

    det: str
    bayes_error: str | None
    reliability: str | None
    histograms: tuple[tuple[str, str], ...]
    """(caption, SVG)."""
    slices: str | None


def draw_list(report: Report, trials: str, scored: Sequence[Scored]) -> ListPlots:
    """`scored` has the list's trials by every encoder."""
    rows = slice_rows(report, trials)
    marks = [
        Whisker(cell.encoder, _panel(row), slice_name(row.slice), cell.eer, cell.eer_interval)
        for row in sorted(rows, key=lambda row: row.n_enrollment_clips)  # panels come in the order of their settings
        for cell in row.cells
        if cell
    ]
    return ListPlots(
        det=det(scored),
        bayes_error=bayes_error(scored),
        reliability=reliability(scored),
        histograms=tuple(picture for one in scored for picture in _histograms(one)),
        slices=whiskers(marks) if marks else None,
    )


def _panel(row: SliceRow) -> str:
    """Whole clips stand beside those that were changed: one against one with both, the rest with the probe."""
    on = row.slice.on or ("both" if row.n_enrollment_clips == 1 else "probe")
    return slice_setting(replace(row.slice, on=on), row.n_enrollment_clips)


def _histograms(one: Scored) -> list[tuple[str, str]]:
    pictures = [(f"{one.encoder}: {one.scale}", histogram(one.scores, one.labels, one.scale, {}))]
    if one.llrs is not None:
        pictures.insert(
            0, (f"{one.encoder}: LLR, with its thresholds", histogram(one.llrs, one.labels, "LLR", one.points))
        )
    return pictures
