"""Runs side by side as a figure: each metric's difference with its interval, a point a run or a line along a series."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from jaxeap.metrics.contrast import MetricContrast
from jaxeap.report.compare.runs import Axis, RunComparison
from jaxeap.report.style import NEUTRAL, TUNED, bare

COLUMNS = 4
LETTERS = 16
"""That stand side by side below a panel; longer names stand upright."""


def comparison_plot(comparison: RunComparison) -> Figure:
    """One panel a metric: tuned − base in each run; a gap is a run in which the metric has no value."""
    names = comparison.metric_names()
    rows = -(-len(names) // COLUMNS)
    lengths = [len(run.name) for run in comparison.runs]
    upright = sum(lengths) > LETTERS
    labels = min(0.075 * max(lengths), 1.5) if upright and comparison.axis is None else 0.0
    figure = Figure(figsize=(9.0, 2.0 * rows + 0.7 + labels), layout="constrained")
    names_of_runs = [run.name for run in comparison.runs]
    panels = figure.subplots(rows, COLUMNS, squeeze=False, sharex=True)
    for axes, (name, title) in zip(panels.flat, names.items(), strict=False):
        _draw(axes, comparison.found(name), comparison.axis)
        axes.set_title(title, loc="left", fontsize=9, fontweight="bold")
    for axes in panels.flat[len(names) :]:
        axes.set_axis_off()
    for column in range(COLUMNS):
        used = [row for row in range(rows) if row * COLUMNS + column < len(names)]
        if not used:
            continue
        lowest = panels[used[-1], column]
        lowest.tick_params(labelbottom=True)
        if comparison.axis is None:
            lowest.set_xticks(range(len(comparison.runs)), names_of_runs, rotation=90 * upright)
        else:
            lowest.set_xlabel(comparison.axis.title, fontsize=9)
    intervals = " and ".join(sorted({f"{100 * run.contrast.confidence:g}%" for run in comparison.runs}))
    figure.suptitle(f"Change from base to tuned, with {intervals} intervals", fontsize=10)
    return figure


def _draw(axes: Axes, metrics: list[MetricContrast | None], axis: Axis | None) -> None:
    places = np.arange(len(metrics)) if axis is None else np.array(axis.values)
    known = [
        (float(place), metric.difference, metric.interval)
        for place, metric in zip(places, metrics, strict=True)
        if metric is not None and metric.difference is not None
    ]
    known.sort(key=lambda point: point[0])
    axes.axhline(0, color="black", linewidth=0.8)
    at, values = [place for place, _, _ in known], [value for _, value, _ in known]
    for place, _, ends in known:
        if ends is not None:
            axes.vlines(place, *ends, color=NEUTRAL if axis is None else TUNED, linewidth=1.6)
    axes.plot(at, values, color=TUNED, marker="s", markersize=4, linewidth=1.4, linestyle="" if axis is None else "-")
    bare(axes)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if axis is None:
        axes.set_xlim(-0.6, len(metrics) - 0.4)
