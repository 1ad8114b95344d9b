"""The distribution of |score| in both models, on logarithmic axes."""

import dataclasses

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxeap.metrics.stream import ScoreStream, as_stream
from jaxeap.report import notation
from jaxeap.report.style import BASE, NEUTRAL, TUNED, bare

BINS = 40
EDGES = 10.0 ** (np.arange(-4600, 3901) / 100)
"""A hundred to a factor of ten, over the whole range of float32: between these, magnitudes are counted."""
Line = str | tuple[float, tuple[float, ...]]


@dataclasses.dataclass(frozen=True, eq=False)
class Magnitudes:
    """|scores| of all edges and questions of one model, counted while they pass by.

    Attributes:
        counts: [len(EDGES) + 1], how many lie below the first of `EDGES`, between the first and the second, ...; those
            that are exactly 0 are none of them.
        zeros: how many are exactly 0.
        number: how many there are.
        mean: of all.
        largest: of all, and how many are as large.
    """

    counts: npt.NDArray[np.int64]
    zeros: int
    number: int
    mean: float
    largest: tuple[float, int]

    @property
    def at_least(self) -> npt.NDArray[np.int64]:
        """How many are at least as large as each of `EDGES`."""
        return self.counts[::-1].cumsum()[::-1][1:]


def score_distribution(
    base_scores: npt.NDArray | ScoreStream, tuned_scores: npt.NDArray | ScoreStream, mask: npt.NDArray[np.bool_]
) -> Figure:
    """Left: share of edges in bins of equal logarithmic width. Right: share of edges with a |score| at least as large.

    All examples are pooled, edges only. The left panel shows where the bulk lies, the right one the tails; dashed
    lines mark the means (the activation intensity over edges). Edges with score exactly 0 have no place on a
    logarithmic axis; they count in the shares, and their number is stated.

    Args:
        base_scores, tuned_scores: [N, S, J], in nats, in memory or as a stream.
        mask: [S, J] bool.
    """
    models: list[tuple[str, str, Line, Magnitudes]] = [
        ("base", BASE, "-", count_magnitudes(as_stream(base_scores), mask)),
        ("tuned", TUNED, (0, (6, 1)), count_magnitudes(as_stream(tuned_scores), mask)),
    ]
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    figure.suptitle("Distribution of |score| over the edges, all questions pooled; dashed: means", fontsize=10)
    histogram, survival = figure.subplots(1, 2)
    counts = np.sum([found.counts for *_, found in models], axis=0)
    if not counts.any():
        for axes in (histogram, survival):
            axes.text(0.5, 0.5, "every score is 0", ha="center", va="center", transform=axes.transAxes, color=NEUTRAL)
            axes.set_axis_off()
        return figure
    places = _bins(counts)
    weakest = int(np.searchsorted(counts.cumsum(), 0.02 * counts.sum()))
    for name, colour, line, found in models:
        _draw_histogram(histogram, found, places, colour, line)
        _draw_survival(survival, found, colour, line, name)
        for axes in (histogram, survival):
            if found.largest[0] > 0:
                axes.axvline(found.mean, color=colour, linestyle="--", linewidth=1)
    survival.set_yscale("log")
    for axes, title, label in (
        (histogram, "Bulk", "share of edges per bin"),
        (survival, "Tail", "share of edges at least as strong"),
    ):
        axes.set_xscale("log")
        axes.set_xlabel("|score| (nats)", fontsize=9)
        axes.set_ylabel(label, fontsize=9)
        axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
        bare(axes)
    histogram.set_xlim(EDGES[places[0]], EDGES[places[-1]])
    histogram.set_ylim(bottom=0)
    survival.set_xlim(EDGES[max(weakest - 1, places[0])], EDGES[places[-1]])
    survival.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def count_magnitudes(stream: ScoreStream, mask: npt.NDArray[np.bool_]) -> Magnitudes:
    """Counts |scores| [N, S, J] of the edges, a shard in memory at a time."""
    counts, zeros, number, total, largest = np.zeros(len(EDGES) + 1, np.int64), 0, 0, 0.0, (0.0, 0)
    for _, scores in stream.shards():
        magnitudes = np.abs(scores[:, mask]).ravel().astype(np.float64)
        positive = magnitudes[magnitudes > 0]
        counts += np.bincount(np.searchsorted(EDGES, positive, side="right"), minlength=len(counts))
        zeros, number = zeros + len(magnitudes) - len(positive), number + len(magnitudes)
        total += magnitudes.sum()
        top = float(magnitudes.max(initial=0.0))
        if top >= largest[0]:
            as_large = int((magnitudes == top).sum())
            largest = (top, as_large + (largest[1] if top == largest[0] else 0))
    return Magnitudes(counts, zeros, number, total / number, largest)


def _bins(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Places among `EDGES` of the ends of forty bins or so of equal width, from a low quantile to the maximum.

    So a few nearly vanishing scores do not stretch the axis.
    """
    filled = np.flatnonzero(counts)
    first = int(np.searchsorted(counts.cumsum(), 0.002 * counts.sum()))
    last = min(int(filled[-1]), len(EDGES) - 1)  # The edge behind the largest.
    width = max(1, -(-(last - first + 1) // BINS))
    number = max(1, -(-(last - first + 1) // width))
    start = max(0, last - number * width)
    return np.arange(start, last + 1, width)


def _draw_histogram(axes: Axes, found: Magnitudes, places: npt.NDArray[np.intp], colour: str, line: Line) -> None:
    shares = (found.at_least[places[:-1]] - found.at_least[places[1:]]) / found.number
    axes.stairs(shares, EDGES[places], color=colour, linestyle=line, linewidth=1.6)
    axes.stairs(shares, EDGES[places], color=colour, fill=True, alpha=0.12)


def _draw_survival(axes: Axes, found: Magnitudes, colour: str, line: Line, name: str) -> None:
    label = f"{name}, mean {notation.number(found.mean)}"
    label += f"\n({found.zeros:,} of {found.number:,} are exactly 0)" if found.zeros else ""
    top, as_large = found.largest
    drawn = np.flatnonzero(found.counts[1:])  # Where nothing lies between two edges the curve is flat.
    x = np.append(EDGES[drawn], [top] if top > 0 else [])
    y = np.append(found.at_least[drawn], [as_large] if top > 0 else [])
    axes.plot(x, y / found.number, color=colour, linestyle=line, linewidth=1.6, label=label)
