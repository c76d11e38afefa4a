"""A report's evaluations, arranged as people read them: the page and the model card show the same rows in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from training.reports import ALL, Evaluation, Interval, Report, Slice

GROUPS = {
    "all": "All trials",
    "net_speech": "Net speech",
    "noise": "Added noise",
    "codec": "Line and codec",
    "gender": "Gender",
    "age": "Age",
}
"""Kinds of slice, in the order in which they are shown."""
_CODECS = {"telephone": "8 kHz telephone", "opus": "Opus at its lowest rate", "mp3": "MP3 at its lowest rate"}
_ON = {"both": "both clips", "probe": "probe only"}


@dataclass(frozen=True)
class SliceRow:
    """One slice, and what each encoder came to on it; None where it was not measured."""

    slice: Slice
    n_enrollment_clips: int
    cells: tuple[Evaluation | None, ...]

    @property
    def label(self) -> str:
        return slice_label(self.slice, self.n_enrollment_clips)

    @property
    def n_trials(self) -> tuple[int, int]:
        """(target, non-target)."""
        cell = next(cell for cell in self.cells if cell)
        return cell.n_target, cell.n_non_target


def slice_label(found: Slice, n_enrollment_clips: int = 1) -> str:
    """A slice in words: `2 s of net speech, probe only, against 3 clips`."""
    setting = slice_setting(found, n_enrollment_clips)
    return f"{slice_name(found)}, {setting}" if setting else slice_name(found)


def slice_name(found: Slice) -> str:
    """Which trials, or what was done to clips: `2 s of net speech`."""
    names = {
        "all": "all trials",
        "net_speech": f"{found.name} of net speech",
        "noise": f"noise at {found.name}",
        "codec": _CODECS.get(found.name, found.name),
        "gender": f"{found.name} voices",
    }
    return names.get(found.group, found.name)


def slice_setting(found: Slice, n_enrollment_clips: int = 1) -> str:
    """Whose clips, and against how many: `probe only, against 3 clips`; empty for whole clips, one against one."""
    words = [_ON[found.on]] if found.on else []
    words += [f"against {n_enrollment_clips} clips"] if n_enrollment_clips > 1 else []
    return ", ".join(words)


def on_best_scale(rows: Sequence[Evaluation]) -> list[Evaluation]:
    """Of each encoder, what was measured on its LLRs or, where it has none, on its first kind of score."""
    scale: dict[str, str] = {}
    for row in rows:
        if row.score == "llr" or row.encoder not in scale:
            scale[row.encoder] = row.score
    return [row for row in rows if row.score == scale[row.encoder]]


def whole_lists(report: Report, trials: str) -> list[Evaluation]:
    """All of a list's trials as they are, one clip against one first, then references of several.

    A bare cosine that has LLRs beside it is left to `cosine_beside`.
    """
    rows = [row for row in report.evaluations if row.trials == trials and row.slice == ALL]
    calibrated = {(row.encoder, row.n_enrollment_clips) for row in rows if row.score == "llr"}
    shown = [r for r in rows if r.score != "cosine" or (r.encoder, r.n_enrollment_clips) not in calibrated]
    return sorted(shown, key=lambda row: row.n_enrollment_clips)


def cosine_beside(report: Report, row: Evaluation) -> Evaluation | None:
    """The bare cosine on the trials of a row of LLRs, where that was measured."""
    key = (row.encoder, row.trials, row.slice, row.n_enrollment_clips)
    found = (r for r in report.evaluations if (r.encoder, r.trials, r.slice, r.n_enrollment_clips) == key)
    return next((other for other in found if other.score == "cosine" != row.score), None)


def slice_rows(report: Report, trials: str) -> list[SliceRow]:
    """The whole list, then its slices by group; empty where there are no slices."""
    own = on_best_scale([row for row in report.evaluations if row.trials == trials])
    cell_of = {(row.encoder, row.slice, row.n_enrollment_clips): row for row in own}
    order = list(GROUPS)
    keys = sorted(
        {(row.slice, row.n_enrollment_clips): None for row in own},
        key=lambda key: order.index(key[0].group),  # stable: within a group as measured
    )
    if all(found == ALL for found, _ in keys):
        return []
    return [
        SliceRow(found, n_clips, tuple(cell_of.get((encoder.name, found, n_clips)) for encoder in report.encoders))
        for found, n_clips in keys
    ]


def percent(rate: float) -> str:
    """A fraction as a percentage, with three digits or so."""
    return f"{100 * rate:.1f}" if rate >= 0.0995 else f"{100 * rate:.2f}"


def percent_interval(interval: Interval) -> str:
    return f"[{percent(interval[0])}, {percent(interval[1])}]"


def number(value: float) -> str:
    return f"{value:.3f}"


def number_interval(interval: Interval) -> str:
    """One digit less than the number itself: the ends are known less well."""
    return f"[{interval[0]:.2f}, {interval[1]:.2f}]"
