"""Plots: training curves, DET curve, score histogram."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.stats import norm

from training.metrics import ErrorCurve, Labels, Scores

TICKS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


def _save(figure: Figure, path: Path) -> None:
    # The canvas is named here so that no global matplotlib backend is ever chosen.
    FigureCanvasAgg(figure).figure.savefig(path, format="png")


def draw_curves(log: Path, out: Path) -> None:
    """Loss, accuracy and validation EER over steps, from a run's log.csv."""
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def series(name: str) -> tuple[list[int], list[float]]:
        found = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
        return [step for step, _ in found], [value for _, value in found]

    figure = Figure(figsize=(10, 3.2), layout="constrained")
    panels = figure.subplots(1, 3)
    for panel, names in zip(
        panels,
        (
            ("loss",),
            ("accuracy", "validation_accuracy", "validation_head_accuracy"),
            ("validation_eer", "validation_head_eer"),
        ),
        strict=True,
    ):
        for name in names:
            steps, values = series(name)
            if not values:
                continue
            if name in ("loss", "accuracy") and len(values) > 200:
                width = len(values) // 100  # a running mean over one percent of the run
                values = list(np.convolve(values, np.ones(width) / width, mode="valid"))
                steps = steps[width - 1 :]
            panel.plot(steps, values, label=name.replace("_", " "), marker="." if len(values) < 60 else None)
        panel.set_xlabel("step")
        panel.grid(alpha=0.3)
        if panel.lines:
            panel.legend(fontsize=8)
    _save(figure, out)


def draw_det(curves: dict[str, ErrorCurve], out: Path) -> None:
    """Detection error trade-off on normal-deviate axes, one line a trial list."""
    figure = Figure(figsize=(5, 4.6), layout="constrained")
    panel = figure.subplots()
    for name, curve in curves.items():
        inside = (curve.fmr > 0) & (curve.fmr < 1) & (curve.fnmr > 0) & (curve.fnmr < 1)
        panel.plot(norm.ppf(curve.fmr[inside]), norm.ppf(curve.fnmr[inside]), label=name)
    ticks, names = norm.ppf(TICKS), [f"{100 * tick:g}" for tick in TICKS]
    panel.set_xticks(ticks, names)
    panel.set_yticks(ticks, names)
    panel.set_xlim(ticks[0], ticks[-1])
    panel.set_ylim(ticks[0], ticks[-1])
    panel.plot(ticks, ticks, color="grey", linewidth=0.6)
    panel.set_xlabel("false-match rate (%)")
    panel.set_ylabel("false-non-match rate (%)")
    panel.grid(alpha=0.3)
    if curves:
        panel.legend(fontsize=8)
    _save(figure, out)


def draw_histogram(scores: Scores, labels: Labels, threshold: float, scale: str, out: Path) -> None:
    """Densities of target and non-target scores, with the EER threshold."""
    figure = Figure(figsize=(5, 3.2), layout="constrained")
    panel = figure.subplots()
    bins = np.linspace(scores.min(), scores.max(), 81).tolist()
    panel.hist(scores[labels], bins=bins, density=True, alpha=0.6, label=f"target ({labels.sum()})")
    panel.hist(scores[~labels], bins=bins, density=True, alpha=0.6, label=f"non-target ({(~labels).sum()})")
    panel.axvline(threshold, color="black", linewidth=0.8, label="EER threshold")
    panel.set_xlabel(scale)
    panel.set_ylabel("density")
    panel.legend(fontsize=8)
    _save(figure, out)
