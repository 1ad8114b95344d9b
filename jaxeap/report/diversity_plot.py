"""The paper's Figure 3: how activation patterns differ between questions, and how widely each node's output spreads."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxeap.metrics.bootstrap import resample_weights
from jaxeap.metrics.diversity import standardised, stream_correlations, streamed_diversity
from jaxeap.metrics.node_entropy import node_output_entropy
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.stream import ScoreStream, Shard, as_stream, per_example
from jaxeap.report import notation
from jaxeap.report.edge_heat_map import axis_labels
from jaxeap.report.style import BASE, NEUTRAL, TUNED, bare

RESAMPLES = 1000
Array = npt.NDArray[np.float64]
Model = tuple[str, str, str | tuple[float, tuple[float, ...]], ScoreStream]
MOST_QUESTIONS = 2000
"""Of more, every so-manieth is paired with every other: two million pairs tell the shape of a histogram."""


def diversity_plot(
    base_scores: npt.NDArray | ScoreStream,
    tuned_scores: npt.NDArray | ScoreStream,
    mask: npt.NDArray[np.bool_],
    sources: Sequence[str],
    options: MetricOptions | None = None,
    confidence: float = 0.95,
) -> Figure:
    """Diversity between questions and of nodes, after arXiv 2509.21044, Figure 3.

    Left: 1 − correlation of every two questions' score matrices, whose mean is the inter-sample diversity. Right: each
    source's output entropy, mean over questions with a bootstrap band.

    Args:
        base_scores, tuned_scores: [N, S, J], in memory or as a stream.
        mask: [S, J] bool.
        sources: S node names.
        options: which entries and which correlation, as in the table.
        confidence: of the bands.
    """
    options = options or MetricOptions()
    models: tuple[Model, ...] = (
        ("base", BASE, "-", as_stream(base_scores)),
        ("tuned", TUNED, (0, (6, 1)), as_stream(tuned_scores)),
    )
    figure = Figure(figsize=(9.0, 4.0), layout="constrained")
    pairs, nodes = figure.subplots(1, 2, width_ratios=(2, 3))
    distances = [_distances(stream, mask, options) for *_, stream in models]
    _draw_distances(pairs, models, distances)
    for name, colour, line, stream in models:
        _draw_entropy(nodes, stream, mask, confidence, name, colour, line)
    labels = axis_labels(sources)
    nodes.set_xticks(list(labels.values()), list(labels), rotation=90 if len(labels) == len(sources) else 0)
    nodes.set_ylim(bottom=0)
    nodes.set_xlabel("source" if len(labels) == len(sources) else "source, by layer", fontsize=9)
    nodes.set_ylabel("entropy of |score| over outgoing edges (nats)", fontsize=9)
    nodes.set_title("(b) Output entropy of each node", loc="left", fontsize=10, fontweight="bold")
    nodes.legend(frameon=False, fontsize=8, loc="best")
    for axes in (pairs, nodes):
        bare(axes)
    figure.suptitle(f"Diversity of activation patterns, {100 * confidence:g}% bands over questions", fontsize=10)
    return figure


def _distances(stream: ScoreStream, mask: npt.NDArray[np.bool_], options: MetricOptions) -> tuple[Array, float]:
    """1 − correlation of each pair of different questions, those of all-equal scores left out, and their mean.

    The mean is of all questions' pairs, as in the table, even where only some of them are drawn.
    """

    def standardise(scores: npt.NDArray) -> Array:
        return standardised(scores, mask, options.entries, options.correlation)

    some = every(stream, -(-stream.examples // MOST_QUESTIONS))
    correlations = stream_correlations(some, standardise, mask.size)
    pairs = correlations[np.triu_indices(len(correlations), k=1)]
    distances = 1 - pairs[np.isfinite(pairs)]
    if some is stream:
        return distances, float(distances.mean()) if len(distances) else float("nan")
    return distances, streamed_diversity(stream, standardise)


def every(stream: ScoreStream, step: int) -> ScoreStream:
    """Examples 0, step, 2 step, ... of a stream, which it itself is with a step of 1."""
    if step == 1:
        return stream

    def shards() -> Iterator[Shard]:
        for places, scores in stream.shards():
            if (chosen := places % step == 0).any():
                yield places[chosen] // step, scores[chosen]

    return ScoreStream(-(-stream.examples // step), shards)


def _draw_distances(axes: Axes, models: Sequence[Model], distances: Sequence[tuple[Array, float]]) -> None:
    shown = (models[0][-1].examples - 1) // MOST_QUESTIONS + 1
    some = f", one in {shown} of them" if shown > 1 else ""
    axes.set_title(f"(a) Between questions{some}", loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel("1 − correlation of two questions' scores", fontsize=9)
    axes.set_ylabel("share of pairs of questions", fontsize=9)
    if not min(len(values) for values, _ in distances):
        axes.text(0.5, 0.5, "too few questions", ha="center", va="center", transform=axes.transAxes, color=NEUTRAL)
        return
    bins = np.linspace(0, max(float(values.max()) for values, _ in distances) or 1.0, 41)
    for (name, colour, line, _), (values, mean) in zip(models, distances, strict=True):
        shares = np.histogram(values, bins=bins)[0] / len(values)
        axes.stairs(shares, bins, color=colour, linestyle=line, linewidth=1.6)
        axes.stairs(shares, bins, color=colour, fill=True, alpha=0.12)
        axes.axvline(mean, color=colour, linestyle="--", linewidth=1, label=f"{name}, mean {notation.number(mean)}")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8, loc="best")


def _draw_entropy(
    axes: Axes,
    stream: ScoreStream,
    mask: npt.NDArray[np.bool_],
    confidence: float,
    name: str,
    colour: str,
    line: str | tuple[float, tuple[float, ...]],
) -> None:
    """A line over the sources; of those that are silent in every question nothing is drawn."""
    (entropies,) = per_example(stream, [lambda scores: node_output_entropy(scores, mask)])
    speaking = np.isfinite(entropies)
    known, filled = speaking.astype(np.float64), np.where(speaking, entropies, 0.0)
    with np.errstate(invalid="ignore"):
        middle = filled.sum(axis=0) / known.sum(axis=0)
        drawn = [weights @ filled / (weights @ known) for weights in resample_weights(stream.examples, RESAMPLES, 0)]
    places = np.flatnonzero(speaking.any(axis=0))
    axes.plot(places, middle[places], color=colour, linestyle=line, linewidth=1.4, label=name,
              marker="o" if len(mask) <= 40 else "", markersize=4)  # fmt: skip
    if stream.examples > 1 and len(places):
        ends = [(1 - confidence) / 2, (1 + confidence) / 2]
        low, high = np.nanquantile(np.concatenate(drawn)[:, places], ends, axis=0)
        axes.fill_between(places, low, high, color=colour, alpha=0.2, linewidth=0)
