"""The paper's Figure 2: how much stronger or weaker each edge has become, relative to itself."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from jaxeap.report.edge_heat_map import name_nodes
from jaxeap.report.style import NEUTRAL, NON_EDGE

QUANTILE = 0.98
"""Of |log ratio|: beyond it colours saturate, so that a few weak edges that multiplied do not pale all others."""
PERCENTAGES = (
    *(0.01, 0.1, 1, 2, 5, 10, 20, 50, 100, 300, 1000, 3000, 10_000, 100_000),
    *(-0.01, -0.1, -1, -2, -5, -10, -20, -33, -50, -75, -90, -97, -99, -99.9),
)
"""At which the scale may have a tick."""


def relative_change_map(
    base: npt.NDArray,
    tuned: npt.NDArray,
    mask: npt.NDArray[np.bool_],
    sources: Sequence[str],
    destinations: Sequence[str],
) -> Figure:
    """Heat map of tuned / base of each edge's mean |score|, after arXiv 2509.21044, Figure 2.

    The colour grows with the logarithm of the ratio, so that doubled and halved are equally far from unchanged; the
    scale is labelled in per cent. Non-edges, and edges without any score in one of the models, are grey.

    Args:
        base, tuned: [S, J], mean |score| over questions.
        mask: [S, J] bool.
        sources, destinations: S and J node names.
    """
    known = mask & (base > 0) & (tuned > 0)
    ratio = np.zeros(mask.shape)
    ratio[known] = np.log2(tuned[known] / base[known])
    bound = float(np.quantile(np.abs(ratio[known]), QUANTILE)) if known.any() else 0.0
    norm = Normalize(-(bound or 1.0), bound or 1.0)
    height = min(0.45 * len(sources), 7.5 * len(sources) / len(destinations), 5.0)
    figure = Figure(figsize=(9.0, max(height, 1.8) + 1.7), layout="constrained")
    axes = figure.subplots()
    colours = colormaps["RdBu_r"].with_extremes(bad=NON_EDGE)
    image = axes.imshow(np.ma.array(ratio, mask=~known), cmap=colours, norm=norm, aspect="auto")
    name_nodes(axes, sources, destinations)
    ticks = _ticks(bound or 1.0)
    bar = figure.colorbar(image, ax=axes, ticks=list(ticks), pad=0.015, fraction=0.05, aspect=18, extend="both")
    bar.ax.set_yticklabels(list(ticks.values()))
    bar.ax.tick_params(labelsize=8, color=NEUTRAL)
    bar.outline.set_visible(False)
    stronger = int((tuned[mask] > base[mask]).sum())
    axes.set_title(
        f"{stronger:,} of {int(mask.sum()):,} edges are stronger in tuned", loc="left", fontsize=10, color=NEUTRAL
    )
    figure.suptitle("Relative change of each edge's mean |score| from base to tuned", fontsize=10)
    return figure


def _ticks(bound: float) -> dict[float, str]:
    """Place and label of zero and of a few round percentages on either side, the farthest that fit first."""
    ticks = {0.0: "0"}
    places = {float(np.log2(1 + percentage / 100)): percentage for percentage in PERCENTAGES}
    for place in sorted(places, key=abs, reverse=True):
        if abs(place) <= bound and min(abs(place - other) for other in ticks) >= bound / 4:
            ticks[place] = f"{places[place]:+,g}%".replace("-", "−")
    return dict(sorted(ticks.items()))
