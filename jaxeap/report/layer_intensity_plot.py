"""Activation intensity layer by layer, of both models and of their difference, with bootstrap bands."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from jaxeap.metrics.layer_intensity import LOGITS, LayerIntensity
from jaxeap.report.style import BASE, NEUTRAL, TUNED, bare

Value = tuple[float, tuple[float, float] | None]


def layer_intensity_plot(rows: Sequence[LayerIntensity], confidence: float = 0.95) -> Figure:
    """Above: mean |score| of the edges into each layer. Below: tuned - base, paired by question.

    The logits, whose edges are often far stronger than all others, have axes of their own on the right.

    Args:
        rows: from `jaxeap.metrics.layer_intensity`, layers in order, logits last where there are any.
        confidence: that of the intervals in `rows`, for the label.
    """
    layers = [row for row in rows if row.layer != LOGITS]
    logits = [row for row in rows if row.layer == LOGITS]
    figure = Figure(figsize=(9.0, 5.0), layout="constrained")
    parts = [part for part in (layers, logits) if part]
    grid = figure.subplots(
        2, len(parts), sharex="col", squeeze=False, height_ratios=(3, 2), width_ratios=(7, 1)[: len(parts)]
    )
    for column, part in zip(grid.T, parts, strict=True):
        _draw_models(column[0], part)
        _draw_difference(column[1], part)
        column[1].set_xticks(range(len(part)), [row.layer for row in part])
    models, difference = grid[:, 0]
    step = -(-len(layers) // 16)
    difference.set_xticks(range(0, len(layers), step), [row.layer for row in layers[::step]])
    difference.set_xlabel("layer", fontsize=9)
    difference.set_ylabel("tuned − base", fontsize=9)
    models.set_ylabel("mean |score| of edges (nats)", fontsize=9)
    models.legend(frameon=False, fontsize=9, ncols=2, loc="upper left", bbox_to_anchor=(-0.01, 1.12))
    figure.suptitle(f"Activation intensity by layer of the destination, with {100 * confidence:g}% bands", fontsize=10)
    return figure


def _draw_models(axes: Axes, rows: Sequence[LayerIntensity]) -> None:
    _draw_values(axes, [(row.base, row.base_interval) for row in rows], BASE, "o", "base", -0.2)
    _draw_values(axes, [(row.tuned, row.tuned_interval) for row in rows], TUNED, "s", "tuned", 0.2)
    bare(axes)
    values = [value for row in rows for value in (row.base, row.tuned)]
    if min(values) > 0 and max(values) > 30 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(6))


def _draw_difference(axes: Axes, rows: Sequence[LayerIntensity]) -> None:
    _draw_values(axes, [(row.difference, row.difference_interval) for row in rows], NEUTRAL, "D", "tuned − base")
    axes.axhline(0, color="black", linewidth=0.8)
    bare(axes)
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _draw_values(axes: Axes, values: Sequence[Value], colour: str, marker: str, name: str, shift: float = 0) -> None:
    """A line with its band; or a single point, shifted sideways, with a bar. Values without an interval stand bare."""
    middle = np.array([value for value, _ in values])
    low, high = np.array([(value, value) if bounds is None else bounds for value, bounds in values]).T
    places = np.arange(len(values)) + (shift if len(values) == 1 else 0)
    axes.plot(places, middle, color=colour, marker=marker, markersize=4, linewidth=1.6, label=name)
    if len(values) > 1:
        axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
    else:
        axes.vlines(places, low, high, color=colour, linewidth=1.6)
        axes.set_xlim(-1, 1)
