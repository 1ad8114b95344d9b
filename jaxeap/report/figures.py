"""The figures of a finished run."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.layer_intensity import LayerIntensity
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.stream import ScoreStream, as_stream
from jaxeap.report.diversity_plot import diversity_plot
from jaxeap.report.edge_heat_map import edge_heat_maps, mean_over_examples
from jaxeap.report.files import write_figure
from jaxeap.report.layer_intensity_plot import layer_intensity_plot
from jaxeap.report.relative_change import relative_change_map
from jaxeap.report.score_distribution import score_distribution


def write_figures(
    folder: str | os.PathLike[str],
    base_scores: npt.NDArray | ScoreStream,
    tuned_scores: npt.NDArray | ScoreStream,
    mask: npt.NDArray[np.bool_],
    sources: Sequence[str],
    destinations: Sequence[str],
    layers: Sequence[LayerIntensity],
    confidence: float = 0.95,
    options: MetricOptions | None = None,
) -> tuple[Path, ...]:
    """Writes edge_heat_maps, relative_change, diversity, score_distribution and layer_intensity as PNG, SVG and PDF.

    Args:
        folder: made when it is not there.
        base_scores, tuned_scores: [N, S, J] of the same questions, in nats, in memory or as a stream.
        mask: [S, J] bool, True where the graph has an edge.
        sources, destinations: S and J node names.
        layers: from `jaxeap.metrics.layer_intensity`.
        confidence: that of the intervals in `layers`.
        options: the choices behind the metrics, for the figure of diversity.

    Returns:
        The paths, in this order, each file complete or not there at all.
    """
    names = sources, destinations
    streams = as_stream(base_scores), as_stream(tuned_scores)
    base, tuned = (mean_over_examples(stream, np.abs) for stream in streams)
    figures = {
        "edge_heat_maps": lambda: edge_heat_maps(*streams, mask, *names),
        "relative_change": lambda: relative_change_map(base, tuned, mask, *names),
        "diversity": lambda: diversity_plot(*streams, mask, sources, options, confidence),
        "score_distribution": lambda: score_distribution(*streams, mask),
        "layer_intensity": lambda: layer_intensity_plot(layers, confidence),
    }
    return tuple(path for name, draw in figures.items() for path in write_figure(folder, name, draw()))
