"""Figures of an experiment: changes by condition, and quantities along a factor or along training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from jaxeap.metrics.bootstrap import Interval
from jaxeap.report.style import BASE, NEUTRAL, TUNED, bare
from jaxeap.rl.experiments.claims import PAPER_DIRECTIONS
from jaxeap.rl.experiments.conditions import Condition
from jaxeap.rl.experiments.effect_table import MAIN

SERIES = (BASE, TUNED, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", NEUTRAL)
"""Okabe and Ito's palette, as in `jaxeap.report.style`."""


def change_plot(
    conditions: Sequence[Condition], metrics: Sequence[str] = MAIN, highlighted: Sequence[str] = ()
) -> Figure:
    """A panel a metric, a row a condition: the mean relative change with its interval, each seed a dot.

    Args:
      conditions: from the top.
      metrics: those that no condition has are left out.
      highlighted: names of conditions drawn in the tuned model's colour.
    """
    titles = {name: each.title for condition in conditions for name, each in condition.effects.items()}
    shown = [name for name in metrics if name in titles]
    figure = Figure(figsize=(2.6 * max(1, len(shown)) + 1.6, 0.42 * len(conditions) + 1.6), layout="constrained")
    grid = figure.subplots(1, max(1, len(shown)), sharey=True, squeeze=False)[0]
    for axes, metric in zip(grid, shown, strict=False):
        for place, condition in enumerate(conditions):
            effect = condition.effects.get(metric)
            if effect is None or effect.relative is None:
                axes.text(0, place, "missing", fontsize=7, color=NEUTRAL, va="center", ha="center")
                continue
            colour = TUNED if condition.name in highlighted else BASE
            if effect.interval is not None:
                axes.hlines(place, *effect.interval, color=colour, linewidth=2)
            axes.plot(effect.relative, place, "D", color=colour, markersize=6)
            axes.plot(
                list(effect.seeds.values()), [place] * len(effect.seeds), ".", color="black", markersize=4, alpha=0.5
            )
        claimed = PAPER_DIRECTIONS.get(metric)
        arrow = {1: "\npaper, online RL: up", -1: "\npaper, online RL: down", None: "\n"}[claimed]
        axes.set_title(titles[metric] + arrow, fontsize=9)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        bare(axes)
    grid[0].set_yticks(range(len(conditions)), [condition.title for condition in conditions])
    grid[0].invert_yaxis()
    figure.supxlabel("relative change from base, mean over seeds with interval; dots are seeds", fontsize=9)
    return figure


def line_panels(
    x: str,
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float, Interval | None]]]],
    columns: int = 3,
    log_x: bool = False,
) -> Figure:
    """Panels of lines over one axis.

    Args:
      x: label of the axis.
      panels: title -> line -> (x, y, interval of y or None), in the order of x.
      columns: panels side by side.
      log_x: whether the axis is logarithmic.
    """
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.5 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    named: set[str] = set()  # in a legend already
    lines = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    for axes, (title, panel) in zip(grid.flat, panels.items(), strict=False):
        for name, points in panel.items():
            _draw_line(axes, points, SERIES[lines.index(name) % len(SERIES)], name)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(x, fontsize=8)
        if log_x:
            axes.set_xscale("log")
        bare(axes)
        if len(lines) > 1 and set(panel) - named:
            axes.legend(frameon=False, fontsize=8)
            named |= set(panel)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    return figure


def _draw_line(axes: Axes, points: Sequence[tuple[float, float, Interval | None]], colour: str, name: str) -> None:
    axes.plot([x for x, _, _ in points], [y for _, y, _ in points], "o-", color=colour, markersize=4, label=name)
    for place, _, bounds in points:
        if bounds is not None:
            axes.vlines(place, *bounds, color=colour, linewidth=1.2, alpha=0.6)
