"""Figures of an experiment: changes by condition, and quantities along a factor or along training."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox, ScaledTranslation, Transform

from jaxeap.metrics.bootstrap import Interval
from jaxeap.report import notation
from jaxeap.report.style import BASE, NEUTRAL, TUNED, bare
from jaxeap.rl.experiments.claims import PAPER_DIRECTIONS
from jaxeap.rl.experiments.conditions import Condition
from jaxeap.rl.experiments.effect_table import MAIN
from jaxeap.rl.experiments.effects import Effect

SERIES = (BASE, TUNED, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", NEUTRAL)
"""Okabe and Ito's palette, as in `jaxeap.report.style`."""
MARKERS = "osD^v<>"
FAR = 4.0
"""Rows that reach so many times as far as the middle one are cut off, so that they do not flatten the others."""
CLIPPED = "arrowheads: beyond the axis, the number there is the mean"
"""What a caption says of a figure in which something is cut off."""
TICK_GAP = 0.09
"""Of an axis's length between two ticks that carry a number."""

Scale = Literal["linear", "log", "symlog"]
Point = tuple[float, float, Interval | None]
"""x, y, interval of y."""


@dataclasses.dataclass(frozen=True)
class LinePanel:
    """One panel of `line_panels`.

    Attributes:
      title: above it.
      lines: name -> points in the order of x.
      unit: "change", a signed percentage; "share", a percentage; "number".
      possible: the ends of what the quantity can be, at which intervals are cut; None where there is no end.
      reference: value of a dotted line, such as the base's.
    """

    title: str
    lines: Mapping[str, Sequence[Point]]
    unit: Literal["change", "share", "number"] = "change"
    possible: tuple[float | None, float | None] = (None, None)
    reference: float | None = None


def change_plot(
    conditions: Sequence[Condition], metrics: Sequence[str] = MAIN, highlighted: Sequence[str] = ()
) -> Figure:
    """A panel a metric, a row a condition: the mean relative change with its interval, each seed a dot.

    What reaches `FAR` times as far as the middle row is cut off with an arrowhead, and the mean, where that is beyond
    the axis, written beside it.

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
        found = [condition.effects.get(metric) for condition in conditions]
        limits = shown_range([effect for effect in found if effect is not None])
        for place, (condition, effect) in enumerate(zip(conditions, found, strict=True)):
            if effect is None or effect.relative is None:
                axes.text(0, place, "missing", fontsize=7, color=NEUTRAL, va="center", ha="center")
                continue
            _draw_row(axes, place, effect, TUNED if condition.name in highlighted else BASE, limits)
        claimed = PAPER_DIRECTIONS.get(metric)
        arrow = {1: "\npaper, online RL: up", -1: "\npaper, online RL: down", None: "\n"}[claimed]
        axes.set_title(titles[metric] + arrow, fontsize=9)
        axes.axvline(0, color="black", linewidth=0.8)
        if limits is not None:
            axes.set_xlim(limits)
        axes.xaxis.set_major_formatter(_formatter("change"))
        axes.xaxis.set_major_locator(MaxNLocator(4))
        bare(axes)
    grid[0].set_yticks(range(len(conditions)), [condition.title for condition in conditions])
    grid[0].invert_yaxis()
    figure.supxlabel("relative change from base, mean over seeds with interval; dots are seeds", fontsize=9)
    return figure


def shown_range(effects: Sequence[Effect]) -> Interval | None:
    """The part of a panel's axis that is shown when some rows reach too far for the others; None shows all of it."""
    extents = [_extent(effect) for effect in effects if effect.relative is not None]
    reaches = np.array([max(abs(low), abs(high)) for low, high in extents])
    if not len(reaches) or (reaches <= FAR * np.median(reaches)).all():
        return None
    most = FAR * float(np.median(reaches))
    low = max(min(0.0, *(low for low, _ in extents)), -most)
    high = min(max(0.0, *(high for _, high in extents)), most)
    margin = 0.05 * (high - low)
    return low - margin, high + margin


def clipped(conditions: Sequence[Condition], metrics: Sequence[str] = MAIN) -> bool:
    """Whether `change_plot` of these cuts something off."""
    found = [[c.effects[metric] for c in conditions if metric in c.effects] for metric in metrics]
    return any(shown_range(effects) is not None for effects in found)


def line_panels(x: str, panels: Sequence[LinePanel], columns: int = 3, scale: Scale = "linear") -> Figure:
    """Panels of lines over one axis, one legend below all of them where there is more than one line.

    Args:
      x: label of the axis.
      panels: in reading order.
      columns: panels side by side.
      scale: of the axis; "symlog" is logarithmic down to the smallest value above 0, and linear from there to 0.
    """
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.5 * rows + 0.7), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    lines = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    handles: dict[str, Line2D] = {}
    for axes, panel in zip(grid.flat, panels, strict=False):
        drawn = list(panel.lines)
        for number, (name, points) in enumerate(panel.lines.items()):
            place = lines.index(name)
            shift = 3.0 * (number - (len(drawn) - 1) / 2)  # Apart, so that the intervals of two lines can be told.
            moved = axes.transData + ScaledTranslation(shift / 72, 0, figure.dpi_scale_trans)
            handles[name] = _draw_line(axes, panel, points, SERIES[place % len(SERIES)], MARKERS[place % 7], moved)
        if panel.unit == "change":
            axes.axhline(0, color="black", linewidth=0.8)
        if panel.reference is not None:
            handles["base"] = axes.axhline(panel.reference, color=NEUTRAL, linewidth=1.2, linestyle=":")
        axes.set_title(panel.title, fontsize=9)
        axes.set_xlabel(x, fontsize=8)
        places = sorted({point[0] for points in panel.lines.values() for point in points})
        _set_scale(axes, places, scale)
        _limit(axes, panel)
        _set_ticks(axes, places)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(_formatter(panel.unit))
        bare(axes)
    for axes in list(grid.flat)[len(panels) :]:
        axes.set_visible(False)
    if len(handles) > 1:
        names = list(handles)
        figure.legend(
            [handles[name] for name in names], names, loc="outside lower center", ncols=4, frameon=False, fontsize=9
        )
    return figure


def _extent(effect: Effect) -> Interval:
    values = [effect.relative or 0.0, *effect.seeds.values(), *(effect.interval or ())]
    return min(values), max(values)


def _draw_row(axes: Axes, place: int, effect: Effect, colour: str, limits: Interval | None) -> None:
    low, high = limits or (-np.inf, np.inf)
    if effect.interval is not None:
        axes.hlines(place, *np.clip(effect.interval, low, high), color=colour, linewidth=2)
    mean = effect.relative or 0.0
    seeds = [value for value in effect.seeds.values() if low <= value <= high]
    if low <= mean <= high:
        axes.plot(mean, place, "D", color=colour, markersize=6)
    else:
        end, side = (high, "right") if mean > high else (low, "left")
        axes.annotate(
            notation.percent(mean), (end, place), xytext=(-6 if side == "right" else 6, 5), ha=side, fontsize=7,
            textcoords="offset points", color=colour,
        )  # fmt: skip
    axes.plot(seeds, [place] * len(seeds), ".", color="black", markersize=4, alpha=0.5)
    smallest, largest = _extent(effect)
    for beyond, end, marker in ((largest > high, high, ">"), (smallest < low, low, "<")):
        if beyond:
            axes.plot(end, place, marker, color=colour, markersize=7, clip_on=False, zorder=3)


def _draw_line(
    axes: Axes, panel: LinePanel, points: Sequence[Point], colour: str, marker: str, moved: Transform
) -> Line2D:
    for place, _, bounds in points:
        if bounds is not None:
            axes.vlines(place, *_cut(panel, bounds), color=colour, linewidth=1.2, alpha=0.6, transform=moved)
    (line,) = axes.plot(
        [x for x, _, _ in points], [y for _, y, _ in points],
        color=colour, marker=marker, markersize=4, linewidth=1.5, transform=moved,
    )  # fmt: skip
    return line


def _cut(panel: LinePanel, values: Sequence[float]) -> npt.NDArray:
    """Values, none beyond what is possible."""
    low, high = panel.possible
    return np.clip(values, -np.inf if low is None else low, np.inf if high is None else high)


def _limit(axes: Axes, panel: LinePanel) -> None:
    """Limits that hold points, intervals and reference line, and end at what is possible."""
    seen = [(x, y) for points in panel.lines.values() for x, y, _ in points]
    seen += [(x, end) for points in panel.lines.values() for x, _, ends in points if ends for end in _cut(panel, ends)]
    level = 0.0 if panel.unit == "change" else panel.reference
    seen += [(x, level) for x, _ in seen[:1] if level is not None]
    axes.dataLim = Bbox.null()
    axes.update_datalim(seen or [(0.0, 0.0)])
    axes.autoscale_view()
    bottom, top = axes.get_ylim()
    margin = 0.02 * (top - bottom)
    low, high = panel.possible
    axes.set_ylim(
        bottom if low is None else max(bottom, low - margin), top if high is None else min(top, high + margin)
    )


def _set_scale(axes: Axes, places: Sequence[float], scale: Scale) -> None:
    if scale == "symlog":
        axes.set_xscale("symlog", linthresh=min((place for place in places if place > 0), default=1.0))
    else:
        axes.set_xscale(scale)


def _set_ticks(axes: Axes, places: Sequence[float]) -> None:
    """Ticks at values that are there, the last one surely, as plain numbers."""
    if not places:
        return
    along = axes.transData.transform([(place, 0) for place in places])[:, 0]
    width = float(np.ptp(along)) or 1.0
    ticks, last = [], np.inf
    for place, at in reversed(list(zip(places, along, strict=True))):
        if last - at >= TICK_GAP * width:
            ticks.append(place)
            last = at
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(_formatter("number"))


def _formatter(unit: str) -> FuncFormatter:
    def text(value: float, _: object) -> str:
        if unit == "number":
            return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
        shown = round(100 * value, 6)
        sign = "+" if unit == "change" and shown else ""
        return f"{shown:{sign},.4g}%".replace("-", "\N{MINUS SIGN}")

    return FuncFormatter(text)
