"""Tail index: the weight of the tails by quantiles. The robust companion of the distribution kurtosis.

The fourth power in the kurtosis lets the single largest score decide; quantiles do not move with it. Over questions the
median is taken: the index is a ratio, and one question whose quartiles nearly coincide would decide over a mean.
"""

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.entries import BoolArray, FloatArray, select_entries

QUANTILES = (0.025, 0.25, 0.75, 0.975)


def tail_index_per_example(scores: npt.NDArray, mask: BoolArray) -> FloatArray:
    """(Q.975 - Q.025) / (Q.75 - Q.25) of each example's signed edge scores: 2.91 for a normal distribution.

    From Crow and Siddiqui, "Robust Estimation of Location", JASA 62 (1967). Always over edges: structural zeros would
    often make the inner quantiles coincide.

    Args:
        scores: [N, S, J].
        mask: [S, J] bool.

    Returns:
        [N] float64, no unit, at least 1; NaN for an example whose quartiles coincide.
    """
    low, first_quartile, third_quartile, high = np.quantile(select_entries(scores, mask, "edges"), QUANTILES, axis=1)
    middle = third_quartile - first_quartile
    return np.divide(high - low, middle, out=np.full(len(scores), np.nan), where=middle > 0)
