"""The figures of a finished run."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.layer_intensity import LayerIntensity
from jaxeap.report.edge_heat_map import edge_heat_maps
from jaxeap.report.files import write_png
from jaxeap.report.layer_intensity_plot import layer_intensity_plot
from jaxeap.report.score_distribution import score_distribution


def write_figures(
    folder: str | os.PathLike[str],
    base_scores: npt.NDArray,
    tuned_scores: npt.NDArray,
    mask: npt.NDArray[np.bool_],
    sources: Sequence[str],
    destinations: Sequence[str],
    layers: Sequence[LayerIntensity],
    confidence: float = 0.95,
) -> tuple[Path, ...]:
    """Writes edge_heat_maps.png, score_distribution.png and layer_intensity.png, each complete or not at all.

    Args:
        folder: made when it is not there.
        base_scores, tuned_scores: [N, S, J] of the same questions, in nats.
        mask: [S, J] bool, True where the graph has an edge.
        sources, destinations: S and J node names.
        layers: from `jaxeap.metrics.layer_intensity`.
        confidence: that of the intervals in `layers`.

    Returns:
        The paths, in this order.
    """
    folder = Path(folder)
    heat_maps = edge_heat_maps(base_scores, tuned_scores, mask, sources, destinations)
    return (
        write_png(folder / "edge_heat_maps.png", heat_maps),
        write_png(folder / "score_distribution.png", score_distribution(base_scores, tuned_scores, mask)),
        write_png(folder / "layer_intensity.png", layer_intensity_plot(layers, confidence)),
    )
