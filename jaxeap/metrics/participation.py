"""Participation: over how many edges the total |W| is spread. The robust companion of the information complexity.

The histogram behind the information complexity takes its range from the largest |W|: one outlier moves nearly all
mass into the first bin. Here |W| itself, normalised to add up to one, is the distribution; there is no bin to choose,
structural zeros contribute exactly nothing, and neither does the scale of the scores.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from jaxeap.metrics.entries import BoolArray, FloatArray, select_entries


def participation_entropy(scores: npt.NDArray, mask: BoolArray) -> FloatArray:
    """Entropy -sum_e p_e ln p_e of p = |W| / sum |W| over the edges of each example.

    Args:
        scores: [N, S, J].
        mask: [S, J] bool.

    Returns:
        [N] float64 in nats, between 0 and ln(number of edges); NaN for an example whose scores are all zero.
    """
    magnitudes = np.abs(select_entries(scores, mask, "edges"))
    with np.errstate(invalid="ignore"):
        shares = magnitudes / magnitudes.sum(axis=1, keepdims=True)
    return entr(shares).sum(axis=1)


def effective_edges(scores: npt.NDArray, mask: BoolArray) -> FloatArray:
    """exp(participation entropy) of each example: the number of equally strong edges with the same entropy.

    (Hill number of order 1; Hill, "Diversity and Evenness", Ecology 54, 1973.)

    Returns:
        [N] float64 between 1 and the number of edges; NaN for an example whose scores are all zero.
    """
    return np.exp(participation_entropy(scores, mask))
