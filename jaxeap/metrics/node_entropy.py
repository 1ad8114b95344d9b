"""Per-node output entropy: how widely a source spreads its influence over the destinations that read it."""

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from jaxeap.metrics.entries import BoolArray, FloatArray


def node_output_entropy(scores: npt.NDArray, mask: BoolArray) -> FloatArray:
    """Entropy of |W| over the outgoing edges of each source, normalised to a distribution (after arXiv 2509.21044).

    Non-edges have no share in it, so it does not depend on whether structural zeros are counted.

    Args:
        scores: [N, S, J].
        mask: [S, J] bool.

    Returns:
        [N, S] float64 in nats, between 0 and ln(number of outgoing edges); NaN for a source whose outgoing scores are
        all zero in that example, or that has no outgoing edge.
    """
    magnitudes = np.abs(scores.astype(np.float64)) * mask
    with np.errstate(invalid="ignore"):
        shares = magnitudes / magnitudes.sum(axis=2, keepdims=True)
    return entr(shares).sum(axis=2)


def node_entropy_per_example(scores: npt.NDArray, mask: BoolArray) -> FloatArray:
    """Mean of `node_output_entropy` over each example's sources, leaving out sources that are silent in it.

    Returns:
        [N] float64 in nats; NaN for an example in which every source is silent.
    """
    entropies = node_output_entropy(scores, mask)
    speaking = np.isfinite(entropies)
    with np.errstate(invalid="ignore"):
        return np.where(speaking, entropies, 0.0).sum(axis=1) / speaking.sum(axis=1)
