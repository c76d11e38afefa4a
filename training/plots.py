"""The report's plots, each as the text of one SVG: DET, Bayes error, reliability, histograms, slices.

Encoders are told apart by colour; the page around the plots has the legend.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import norm

from training.metrics import ErrorCurve, Labels, Scores, error_curve, rates_at

COLOURS = ("#2457a6", "#c8641b", "#2b8a5f", "#8a4fa3", "#b0393f", "#6b6f76")
"""One an encoder, in their order; after the last, the first again."""
TARGET, NON_TARGET = "#2b8a5f", "#b0393f"
PANEL_INCHES = (4.2, 3.7)
TICKS = (0.0002, 0.001, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6)
MAX_LOG_ODDS = 7.0
"""Priors of the Bayes-error plot: from 0.1 % to 99.9 %."""
N_BINS = 15
MIN_IN_BIN = 5
"""Trials of each kind that a point of the reliability plot stands for at least."""
STYLE: dict[Any, Any] = {
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9aa0a8",
    "axes.labelcolor": "#30343a",
    "axes.grid": True,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.7,
    "xtick.color": "#5a6068",
    "ytick.color": "#5a6068",
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "vouch",  # the same measurement draws the same file
}


@dataclass(frozen=True, eq=False)
class Scored:
    """What one encoder said about one list's trials; `llrs` are None without a calibration."""

    encoder: str
    scale: str
    """Of `scores`: cosine, distance or head."""
    scores: Scores
    llrs: Scores | None
    labels: Labels
    points: Mapping[str, float]
    """Operating points: LLR by name."""

    @property
    def best(self) -> Scores:
        return self.scores if self.llrs is None else self.llrs


@dataclass(frozen=True)
class Whisker:
    """An EER with its interval, on one slice, by one encoder."""

    encoder: str
    setting: str
    label: str
    value: float
    interval: tuple[float, float]


def colour_of(index: int) -> str:
    return COLOURS[index % len(COLOURS)]


def det(scored: Sequence[Scored]) -> str:
    """Detection error trade-off on normal-deviate axes; a ring where each operating point lies."""
    with _panel() as (figure, axes):
        draw_det(axes, scored)
        return _svg(figure)


def draw_det(axes: Axes, scored: Sequence[Scored]) -> None:
    """`det`, onto axes of somebody else's figure; each curve carries its encoder's name for a legend."""
    ticks, names = norm.ppf(TICKS), [f"{100 * tick:g}" for tick in TICKS]
    axes.set_xticks(ticks, names)
    axes.set_yticks(ticks, names)
    axes.set_xlim(ticks[0], ticks[-1])
    axes.set_ylim(ticks[0], ticks[-1])
    axes.plot(ticks, ticks, color="#c4c8cd", linewidth=0.8)
    for index, one in enumerate(scored):
        curve = error_curve(one.best, one.labels)
        axes.plot(*_on_axes(curve), color=colour_of(index), label=one.encoder)
        if one.llrs is not None:
            rates = [rates_at(one.llrs, one.labels, llr) for llr in one.points.values()]
            fmr, fnmr = np.array(rates).T
            axes.plot(_probit(fmr), _probit(fnmr), "o", color=colour_of(index), markerfacecolor="white", markersize=5)
    axes.set_xlabel("false-match rate (%)")
    axes.set_ylabel("false-non-match rate (%)")


def bayes_error(scored: Sequence[Scored]) -> str | None:
    """Normalised detection cost over all priors: taken at its word (line), and at the best threshold (dashes)."""
    calibrated = [(index, one) for index, one in enumerate(scored) if one.llrs is not None]
    if not calibrated:
        return None
    log_odds = np.linspace(-MAX_LOG_ODDS, MAX_LOG_ODDS, 141)
    with _panel() as (figure, axes):
        for index, one in calibrated:
            assert one.llrs is not None
            actual, least = bayes_errors(one.llrs, one.labels, log_odds)
            axes.plot(log_odds, actual, color=colour_of(index))
            axes.plot(log_odds, least, color=colour_of(index), linestyle=(0, (3, 2)), linewidth=1.2)
        for p in (0.01, 0.05):
            axes.axvline(np.log(p / (1 - p)), color="#9aa0a8", linewidth=0.8, linestyle=":")
        axes.set_xlim(-MAX_LOG_ODDS, MAX_LOG_ODDS)
        axes.set_ylim(0, 1.2)
        axes.set_xlabel("log-odds of the prior; dots: P(target) 0.01 and 0.05")
        axes.set_ylabel("normalised detection cost")
        return _svg(figure)


def reliability(scored: Sequence[Scored]) -> str | None:
    """What the LLRs say against what the trials show; on the diagonal they can be believed."""
    if all(one.llrs is None for one in scored):
        return None
    with _panel() as (figure, axes):
        draw_reliability(axes, scored)
        return _svg(figure)


def draw_reliability(axes: Axes, scored: Sequence[Scored]) -> None:
    """`reliability`, onto axes of somebody else's figure; encoders without a calibration are left out."""
    reached = [2.0]
    for index, one in enumerate(scored):
        if one.llrs is not None:
            stated, found = reliability_points(one.llrs, one.labels)
            axes.plot(stated, found, "o-", color=colour_of(index), markersize=3.5, linewidth=1.0, label=one.encoder)
            reached += [*np.abs(stated), *np.abs(found)]
    if len(reached) == 1:
        axes.annotate("too few errors to tell", (0.5, 0.3), xycoords="axes fraction", ha="center", color="#5a6068")
    limit = 1.1 * max(reached)
    axes.plot([-limit, limit], [-limit, limit], color="#c4c8cd", linewidth=0.8)
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit, limit)
    axes.set_xlabel("stated LLR")
    axes.set_ylabel("LLR found among the trials")


def histogram(values: Scores, labels: Labels, scale: str, lines: Mapping[str, float]) -> str:
    """Densities of target and non-target trials; `lines` are thresholds by name."""
    with _panel(height=2.7) as (figure, axes):
        draw_histogram(axes, values, labels, scale, lines)
        return _svg(figure)


def draw_histogram(axes: Axes, values: Scores, labels: Labels, scale: str, lines: Mapping[str, float]) -> None:
    """`histogram`, onto axes of somebody else's figure."""
    bins = np.linspace(*_span(values), 61)
    for chosen, name, colour in ((labels, "target", TARGET), (~labels, "non-target", NON_TARGET)):
        heights, edges = np.histogram(values[chosen], bins=bins, density=True)
        axes.stairs(heights, edges, fill=True, alpha=0.35, color=colour, label=f"{name} ({chosen.sum():,})")
        axes.stairs(heights, edges, color=colour, linewidth=1.0)
    for name, at in lines.items():
        axes.axvline(at, color="#30343a", linewidth=0.8, linestyle=":")
        axes.annotate(
            name, (at, 1.0), xycoords=("data", "axes fraction"), xytext=(2, -2), textcoords="offset points",
            rotation=90, va="top", fontsize=7, color="#5a6068",
        )  # fmt: skip
    axes.grid(visible=False)
    axes.set_yticks([])
    axes.set_xlabel(scale)
    axes.legend(loc="upper left")


def whiskers(rows: Sequence[Whisker]) -> str:
    """EER with its interval: a line for each label, a panel for each setting, the encoders beside each other."""
    labels = list(dict.fromkeys(row.label for row in rows))
    settings = list(dict.fromkeys(row.setting for row in rows))
    encoders = list(dict.fromkeys(row.encoder for row in rows))
    height = 0.9 + (0.14 + 0.1 * len(encoders)) * len(labels)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(2.2 + 2.9 * len(settings), height), layout="constrained")
        panels = figure.subplots(1, len(settings), sharex=True, sharey=True, squeeze=False)[0]
        for panel, setting in zip(panels, settings, strict=True):
            for index, encoder in enumerate(encoders):
                own = [row for row in rows if (row.encoder, row.setting) == (encoder, setting)]
                if own:
                    y = [labels.index(row.label) + 0.8 * ((index + 0.5) / len(encoders) - 0.5) for row in own]
                    x = 100 * np.array([row.value for row in own])
                    low, high = 100 * np.array([row.interval for row in own]).T
                    error = np.maximum([x - low, high - x], 0.0)
                    panel.errorbar(x, y, xerr=error, fmt="o", color=colour_of(index), markersize=4, elinewidth=1.2)
            panel.set_title(setting, fontsize=9, color="#30343a")
            panel.grid(axis="y", visible=False)
            panel.set_xlabel("EER (%)")
        panels[0].set_yticks(range(len(labels)), labels)
        panels[0].set_ylim(len(labels) - 0.5, -0.5)
        panels[0].set_xlim(left=0)
        return _svg(figure)


def bayes_errors(llrs: Scores, labels: Labels, log_odds: NDArray[np.float64]) -> tuple[Scores, Scores]:
    """(actual, least) normalised detection cost at each prior log-odds, (n_priors,) each; costs 1 and 1."""
    target, non_target = np.sort(llrs[labels]), np.sort(llrs[~labels])
    p = 1.0 / (1.0 + np.exp(-log_odds))
    scale = np.minimum(p, 1.0 - p)
    fnmr = np.searchsorted(target, -log_odds, side="left") / len(target)
    fmr = 1.0 - np.searchsorted(non_target, -log_odds, side="left") / len(non_target)
    curve = error_curve(llrs, labels)
    corners = np.concatenate([[True], (np.diff(curve.fmr) != 0) | (np.diff(curve.fnmr) != 0)])
    costs = p[:, None] * curve.fnmr[corners] + (1.0 - p[:, None]) * curve.fmr[corners]
    return (p * fnmr + (1.0 - p) * fmr) / scale, costs.min(axis=1) / scale


def reliability_points(llrs: Scores, labels: Labels) -> tuple[Scores, Scores]:
    """(mean stated LLR, LLR found) of neighbouring trials, (n_bins,) each.

    Both kinds of trial weigh alike. Bins hold equal shares of that weight; one with fewer than five trials of
    either kind, whose own LLR is unknown, is left out.
    """
    order = np.argsort(llrs, kind="stable")
    weights = np.where(labels, 0.5 / labels.sum(), 0.5 / (~labels).sum())
    overlap = _overlap(llrs[order], labels[order])
    shares = np.cumsum(weights[order] * overlap)
    if shares[-1] == 0:
        return np.zeros(0), np.zeros(0)
    bins = np.minimum((shares / shares[-1] * N_BINS).astype(int), N_BINS - 1)
    stated, found = [], []
    for number in range(N_BINS):
        chosen = order[(bins == number) & overlap]
        n_target, n_non_target = labels[chosen].sum(), (~labels[chosen]).sum()
        if min(n_target, n_non_target) >= MIN_IN_BIN:
            stated.append(np.average(llrs[chosen], weights=weights[chosen]))
            found.append(np.log(n_target / labels.sum()) - np.log(n_non_target / (~labels).sum()))
    return np.array(stated), np.array(found)


def _overlap(llrs: Scores, labels: Labels) -> Labels:
    """Where targets and non-targets both occur: nothing can be found out beyond."""
    low, high = llrs[labels].min(), llrs[~labels].max()
    overlap: Labels = (llrs >= low) & (llrs <= high)
    return overlap


def _span(values: Scores) -> tuple[float, float]:
    """What a histogram shows: all but one trial in a thousand at either end."""
    low, high = np.quantile(values, [0.001, 0.999])
    return (float(low), float(high)) if high > low else (float(low) - 0.5, float(high) + 0.5)


def _probit(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normal deviates; 0 and 1, which have none, lie off the axes."""
    return np.asarray(norm.ppf(np.clip(rates, 1e-5, 1.0 - 1e-5)))


def _on_axes(curve: ErrorCurve) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return _probit(curve.fmr), _probit(curve.fnmr)


@contextmanager
def _panel(width: float = PANEL_INCHES[0], height: float = PANEL_INCHES[1]) -> Iterator[tuple[Figure, Axes]]:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    # The canvas is named here so that no global matplotlib backend is ever chosen.
    canvas: Callable[..., None] = FigureCanvasSVG(figure).print_svg
    canvas(out, metadata={"Date": None})
    return out.getvalue()
