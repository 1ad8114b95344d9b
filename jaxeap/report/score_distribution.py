"""The distribution of |score| in both models, on logarithmic axes."""

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxeap.report import notation
from jaxeap.report.style import BASE, NEUTRAL, TUNED, bare

Array = npt.NDArray[np.float64]
Line = str | tuple[float, tuple[float, ...]]


def score_distribution(base_scores: npt.NDArray, tuned_scores: npt.NDArray, mask: npt.NDArray[np.bool_]) -> Figure:
    """Left: share of edges in bins of equal logarithmic width. Right: share of edges with a |score| at least as large.

    All examples are pooled, edges only. The left panel shows where the bulk lies, the right one the tails; dashed
    lines mark the means (the activation intensity over edges). Edges with score exactly 0 have no place on a
    logarithmic axis; they count in the shares, and their number is stated.

    Args:
        base_scores, tuned_scores: [N, S, J], in nats.
        mask: [S, J] bool.
    """
    models: list[tuple[str, str, Line, Array]] = [
        ("base", BASE, "-", np.abs(base_scores[:, mask]).ravel().astype(np.float64)),
        ("tuned", TUNED, (0, (6, 1)), np.abs(tuned_scores[:, mask]).ravel().astype(np.float64)),
    ]
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    figure.suptitle("Distribution of |score| over the edges, all questions pooled; dashed: means", fontsize=10)
    histogram, survival = figure.subplots(1, 2)
    positive = np.concatenate([magnitudes[magnitudes > 0] for *_, magnitudes in models])
    if not len(positive):
        for axes in (histogram, survival):
            axes.text(0.5, 0.5, "every score is 0", ha="center", va="center", transform=axes.transAxes, color=NEUTRAL)
            axes.set_axis_off()
        return figure
    bins = _logarithmic_bins(positive)
    for name, colour, line, magnitudes in models:
        _draw_histogram(histogram, magnitudes, bins, colour, line)
        _draw_survival(survival, magnitudes, colour, line, name)
        for axes in (histogram, survival):
            if magnitudes.any():
                axes.axvline(magnitudes.mean(), color=colour, linestyle="--", linewidth=1)
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
    histogram.set_xlim(bins[0], bins[-1])
    histogram.set_ylim(bottom=0)
    survival.set_xlim(max(np.quantile(positive, 0.02), bins[0]), bins[-1])
    survival.legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def _logarithmic_bins(positive: Array) -> Array:
    """Forty bins from a low quantile to the maximum, so that a few nearly vanishing scores do not stretch the axis."""
    low, high = np.quantile(positive, 0.002), positive.max()
    return np.geomspace(low, high, 41) if low < high else np.geomspace(high / 2, high * 2, 41)


def _draw_histogram(axes: Axes, magnitudes: Array, bins: Array, colour: str, line: Line) -> None:
    shares = np.histogram(magnitudes, bins=bins)[0] / len(magnitudes)
    axes.stairs(shares, bins, color=colour, linestyle=line, linewidth=1.6)
    axes.stairs(shares, bins, color=colour, fill=True, alpha=0.12)


def _draw_survival(axes: Axes, magnitudes: Array, colour: str, line: Line, name: str) -> None:
    zeros = np.count_nonzero(magnitudes == 0)
    label = f"{name}, mean {notation.number(float(magnitudes.mean()))}"
    label += f"\n({zeros:,} of {len(magnitudes):,} are exactly 0)" if zeros else ""
    ordered = np.sort(magnitudes)
    # a curve of a million points has no more to show than one of a thousand ranks, dense at the top
    ranks = np.unique(len(ordered) - np.geomspace(1, len(ordered), 1000).astype(int))
    ranks = ranks[ordered[ranks] > 0]
    axes.plot(
        ordered[ranks], (len(ordered) - ranks) / len(ordered), color=colour, linestyle=line, linewidth=1.6, label=label
    )
