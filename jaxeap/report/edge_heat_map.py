"""Heat maps of the mean score of every edge: of base, of tuned and of the difference."""

from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FixedLocator, FuncFormatter

from jaxeap.metrics.node_names import layer_of_node
from jaxeap.metrics.stream import ScoreStream, as_stream
from jaxeap.report.style import NEUTRAL, NON_EDGE

MOST_NAMES = 36
"""Above so many nodes an axis names layers, not nodes."""


def edge_heat_maps(
    base_scores: npt.NDArray | ScoreStream,
    tuned_scores: npt.NDArray | ScoreStream,
    mask: npt.NDArray[np.bool_],
    sources: Sequence[str],
    destinations: Sequence[str],
) -> Figure:
    """Mean score over examples of base, of tuned and of tuned - base, one below the other.

    Base and tuned share one colour scale, the difference has its own; both are symmetric around zero and grow like
    asinh, linear below the median magnitude and logarithmic above, so that weak and strong edges are both seen.
    Non-edges are grey.

    Args:
        base_scores, tuned_scores: [N, S, J], in nats, in memory or as a stream.
        mask: [S, J] bool.
        sources, destinations: S and J node names.
    """
    base, tuned = (mean_over_examples(as_stream(scores)) for scores in (base_scores, tuned_scores))
    panel_height = min(0.4 * len(sources), 6.8 * len(sources) / len(destinations), 4.0)
    figure = Figure(figsize=(9.0, 3 * panel_height + 1.8), layout="constrained")
    first, second, third = figure.subplots(3, 1)
    both = _norm(np.stack([base, tuned])[:, mask])
    for axes, values, norm, title in (
        (first, base, both, "Base"),
        (second, tuned, both, "Tuned"),
        (third, tuned - base, _norm((tuned - base)[mask]), "Tuned − base"),
    ):
        image = draw_edges(axes, values, mask, norm)
        axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
        name_nodes(axes, sources, destinations, name_destinations=axes is third)
        _colour_bar(figure, axes, image, norm)
    figure.suptitle("Mean edge score: what ablating the edge adds to the loss, to first order, in nats", fontsize=10)
    return figure


def mean_over_examples(
    stream: ScoreStream, of: Callable[[npt.NDArray], npt.NDArray] = lambda scores: scores
) -> npt.NDArray[np.float64]:
    """Mean over N examples of what a function makes of their scores: [S, J], in one reading, a shard in memory."""
    total = sum(of(scores).sum(axis=0, dtype=np.float64) for _, scores in stream.shards())
    return np.asarray(total / stream.examples, np.float64)


def draw_edges(axes: Axes, values: npt.NDArray, mask: npt.NDArray[np.bool_], norm: AsinhNorm) -> AxesImage:
    """One [S, J] matrix, sources downwards and destinations to the right."""
    colours = colormaps["RdBu_r"].with_extremes(bad=NON_EDGE)
    return axes.imshow(np.ma.array(values, mask=~mask), cmap=colours, norm=norm, aspect="auto")


def name_nodes(axes: Axes, sources: Sequence[str], destinations: Sequence[str], name_destinations: bool = True) -> None:
    """Ticks with node names, or with layers where there are too many; fine white lines between layers."""
    for axis, names, span in ((axes.yaxis, sources, axes.axhline), (axes.xaxis, destinations, axes.axvline)):
        for position in list(_layer_starts(names).values())[1:]:
            span(position - 0.5, color="white", linewidth=0.8 if len(names) <= MOST_NAMES else 0.3)
        labels = axis_labels(names)
        axis.set_major_locator(FixedLocator(list(labels.values())))
        axis.set_ticklabels(list(labels))
    few = len(destinations) <= MOST_NAMES
    axes.tick_params(labelsize=8, color=NEUTRAL, length=2)
    axes.tick_params(axis="x", rotation=90 if few else 0, labelbottom=name_destinations)
    axes.set_ylabel("source" if len(sources) <= MOST_NAMES else "source, by layer", fontsize=9)
    if name_destinations:
        axes.set_xlabel("destination" if few else "destination, by layer", fontsize=9)
    axes.spines[:].set_visible(False)


def axis_labels(names: Sequence[str]) -> dict[str, int]:
    """What to write at which position of an axis of nodes: their names, or layers where they are too many."""
    few = len(names) <= MOST_NAMES
    return dict(zip(names, range(len(names)), strict=True)) if few else _thinned(_layer_starts(names))


def _norm(values: npt.NDArray) -> AsinhNorm:
    magnitudes = np.abs(values)
    largest = float(magnitudes.max()) or 1.0
    typical = float(np.median(magnitudes[magnitudes > 0])) if magnitudes.any() else 1.0
    return AsinhNorm(linear_width=typical, vmin=-largest, vmax=largest)


def _colour_bar(figure: Figure, axes: Axes, image: AxesImage, norm: AsinhNorm) -> None:
    """A bar with ticks at zero and at round numbers in the logarithmic part."""
    typical, largest = norm.linear_width, float(norm.vmax or 0)
    decades = range(int(np.floor(np.log10(typical))), int(np.log10(largest)) + 1)
    steps = [float(f"{digit}e{decade}") for decade in decades for digit in (1, 2, 5)]
    fitting = [step for step in steps if typical <= step <= largest] or [largest]
    positive = fitting if len(fitting) <= 3 else [step for step in fitting if f"{step:e}"[0] == "1"]
    positive = positive[:: -(-len(positive) // 5)]
    ticks = [*(-step for step in positive), 0.0, *positive]
    bar = figure.colorbar(image, ax=axes, ticks=ticks, pad=0.015, fraction=0.05, aspect=14)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _signed(value)))
    bar.ax.yaxis.set_minor_locator(FixedLocator([]))
    bar.ax.tick_params(labelsize=8, color=NEUTRAL)
    bar.outline.set_visible(False)


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{value:+.3g}".replace("-", "−")


def _layer_starts(names: Sequence[str]) -> dict[str, int]:
    """The first position of each layer, and of embed or logits, in the order of the axis."""
    groups = groupby(range(len(names)), key=lambda i: layer_of_node(names[i]))
    return {names[first] if layer is None else str(layer): first for layer, (first, *_) in groups}


def _thinned(starts: dict[str, int]) -> dict[str, int]:
    """About ten layers, evenly spaced, with embed and logits; layer 0 goes unnamed where embed stands next to it."""
    step = next(step for step in (1, 2, 4, 5, 8, 10, 16, 20, 40, 80, len(starts)) if len(starts) / step <= 10)
    first = 1 if "embed" in starts else 0
    return {
        label: at
        for label, at in starts.items()
        if not label.isdigit() or (first <= int(label) and not int(label) % step)
    }
