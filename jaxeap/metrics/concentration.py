"""Concentration: how much of the total |W| a few edges hold. Companions of the kurtosis without bins or powers."""

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.entries import BoolArray, FloatArray, select_entries


def gini_per_example(scores: npt.NDArray, mask: BoolArray) -> FloatArray:
    """Gini coefficient of each example's |W| over edges: sum_e (2 e - E - 1) x_e / (E sum x), x in ascending order.

    0 where all edges are equally strong, (E - 1) / E where one edge is all. Over edges always: each structural zero
    would push it towards 1.

    Args:
        scores: [N, S, J].
        mask: [S, J] bool, E edges.

    Returns:
        [N] float64, no unit, between 0 and 1; NaN for an example whose scores are all zero.
    """
    magnitudes = np.sort(np.abs(select_entries(scores, mask, "edges")), axis=1)
    edges = magnitudes.shape[1]
    ranks = 2 * np.arange(1, edges + 1) - edges - 1
    total = magnitudes.sum(axis=1)
    return np.divide(magnitudes @ ranks, edges * total, out=np.full(len(scores), np.nan), where=total > 0)


def top_mass_per_example(scores: npt.NDArray, mask: BoolArray, share: float = 0.01) -> FloatArray:
    """Share of the total |W| that each example's strongest edges hold.

    Args:
        scores: [N, S, J].
        mask: [S, J] bool, E edges.
        share: how many edges count as the strongest, as a share of E: max(1, round(share * E)) edges.

    Returns:
        [N] float64 between `share` (of whole edges) and 1; NaN for an example whose scores are all zero.
    """
    magnitudes = np.abs(select_entries(scores, mask, "edges"))
    edges = magnitudes.shape[1]
    strongest = max(1, round(share * edges))
    total = magnitudes.sum(axis=1)
    top = np.partition(magnitudes, edges - strongest, axis=1)[:, edges - strongest :].sum(axis=1)
    return np.divide(top, total, out=np.full(len(scores), np.nan), where=total > 0)
