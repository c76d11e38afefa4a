"""How cost grows, drawn: latency by clip length, throughput by concurrency, identification by gallery size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.plots import STYLE, colour_of

PANEL_INCHES = (5.2, 3.7)
DPI = 150


@dataclass(frozen=True)
class ByLength:
    """Medians of one client alone, comparing two clips of that length."""

    clip_s: float
    latency_ms: float
    stages_ms: Mapping[str, float]
    """Both clips together, which are heard side by side."""


@dataclass(frozen=True)
class ByConcurrency:
    n_clients: int
    per_s: float
    p50_ms: float
    p99_ms: float


def latency_by_clip_length(points: Sequence[ByLength], path: Path) -> None:
    with panels(path, 1) as (axes,):
        seconds = [point.clip_s for point in points]
        axes.plot(seconds, [point.latency_ms for point in points], "o-", color="#30343a", markersize=3, label="latency")
        stages = [name for name in points[-1].stages_ms if name not in ("queue", "total")]
        for index, name in enumerate(stages):
            values = [point.stages_ms.get(name, 0.0) for point in points]
            axes.plot(seconds, values, color=colour_of(index), linestyle=(0, (3, 2)), label=f"{name}, both clips")
        _log_log(axes, "length of each of two clips (s)", "ms, median, one client alone")
        axes.set_xticks(seconds, [f"{x:g}" for x in seconds], minor=False)


def throughput_by_concurrency(points: Sequence[ByConcurrency], path: Path) -> None:
    with panels(path, 2) as (rate, latency):
        clients = [point.n_clients for point in points]
        rate.plot(clients, [point.per_s for point in points], "o-", color=colour_of(0), markersize=3)
        rate.set_ylim(bottom=0)
        rate.set_ylabel("pairs of 3 s clips compared a second")
        for index, (name, values) in enumerate(
            (("p50", [point.p50_ms for point in points]), ("p99", [point.p99_ms for point in points]))
        ):
            latency.plot(clients, values, "o-", color=colour_of(index), markersize=3, label=name)
        latency.set_ylim(bottom=0)
        latency.set_ylabel("latency (ms)")
        latency.legend()
        for axes in (rate, latency):
            axes.set_xscale("log", base=2)
            axes.set_xticks(clients, [str(n) for n in clients])
            axes.set_xlabel("clients that wait for their answers")


GALLERY_LINES: Mapping[str, str] = {
    "identify_ms": "identification of an embedding (ms)",
    "bare_search_ms": "bare index (ms)",
}
"""What a figure of bench/gallery.py in milliseconds is called in the plot."""


def identify_by_gallery_size(figures: Sequence[Mapping[str, Any]], path: Path) -> list[str]:
    """Draws a line for each figure that all of them have; the names of those that some lack."""
    ordered = sorted(figures, key=lambda one: int(one["speakers"]))
    there = [name for name in GALLERY_LINES if all(isinstance(one.get(name), int | float) for one in ordered)]
    if there:
        with panels(path, 1) as (axes,):
            speakers = [int(one["speakers"]) for one in ordered]
            for index, name in enumerate(there):
                values = [float(one[name]) for one in ordered]
                axes.plot(speakers, values, "o-", color=colour_of(index), markersize=3, label=GALLERY_LINES[name])
            _log_log(axes, "speakers in the gallery", "ms, median, one thread")
    return [name for name in GALLERY_LINES if name not in there]


def _log_log(axes: Axes, x: str, y: str) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.legend()


@contextmanager
def panels(path: Path, n_panels: int, dpi: int = DPI) -> Iterator[list[Axes]]:
    """Axes side by side, written to `path` as PNG when the block ends."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PANEL_INCHES[0] * n_panels, PANEL_INCHES[1]), dpi=dpi, layout="constrained")
        yield list(figure.subplots(1, n_panels, squeeze=False)[0])
        # The canvas is named here so that no global matplotlib backend is ever chosen.
        write: Callable[..., None] = FigureCanvasAgg(figure).print_png
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, metadata={"Software": None})
