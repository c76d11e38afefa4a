"""The curves of a training run."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


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
