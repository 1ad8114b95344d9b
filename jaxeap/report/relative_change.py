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
FACTORS = (1.01, 1.02, 1.05, 1.1, 1.25, 1.5, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""A tick stands at each power of one of these; about three fit on either side of zero."""


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
    factors = _scale(bound or 1.0)
    ticks = [*(-np.log2(factors[::-1])), 0.0, *np.log2(factors)]
    bar = figure.colorbar(image, ax=axes, ticks=ticks, pad=0.015, fraction=0.05, aspect=18, extend="both")
    bar.ax.set_yticklabels([_percent(tick) for tick in ticks])
    bar.ax.tick_params(labelsize=8, color=NEUTRAL)
    bar.outline.set_visible(False)
    stronger = int((tuned[mask] > base[mask]).sum())
    axes.set_title(
        f"{stronger:,} of {int(mask.sum()):,} edges are stronger in tuned", loc="left", fontsize=10, color=NEUTRAL
    )
    figure.suptitle("Relative change of each edge's mean |score| from base to tuned", fontsize=10)
    return figure


def _scale(bound: float) -> npt.NDArray[np.float64]:
    """Powers of a round factor up to 2 ** bound."""
    step = next((factor for factor in FACTORS if 3.5 * np.log2(factor) >= bound), FACTORS[-1])
    number = max(1, int(bound / np.log2(step) + 1e-9))
    return step ** np.arange(1.0, number + 1) if bound >= np.log2(step) else np.array([2**bound])


def _percent(log_ratio: float) -> str:
    change = 100 * (2**log_ratio - 1)
    return "0" if log_ratio == 0 else f"{change:+.3g}%".replace("-", "−")
