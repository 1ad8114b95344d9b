"""Inter-sample diversity: how differently a model works from one question to the next."""

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.entries import BoolArray, FloatArray, select_entries
from jaxeap.metrics.options import Correlation, Entries


def correlation_matrix(
    scores: npt.NDArray, mask: BoolArray, entries: Entries = "all", correlation: Correlation = "signed"
) -> FloatArray:
    """Pearson correlation between the score matrices of every two examples.

    Args:
        scores: [N, S, J].
        mask: [S, J] bool.
        entries: the matrix entries that count. Structural zeros are equal in every example and pull "all" towards 1.
        correlation: correlate the "signed" scores, or their "absolute" values.

    Returns:
        [N, N] float64; NaN in the row and column of an example whose entries are all equal.
    """
    values = select_entries(scores, mask, entries)
    if correlation == "absolute":
        values = np.abs(values)
    varied = np.flatnonzero(np.ptp(values, axis=1) > 0)
    correlations = np.full((len(values), len(values)), np.nan)
    if len(varied):
        correlations[np.ix_(varied, varied)] = np.corrcoef(values[varied]).reshape(len(varied), len(varied))
    return correlations


def diversity(correlations: FloatArray, weights: FloatArray) -> FloatArray:
    """1 - mean pairwise correlation between examples (after arXiv 2509.21044).

    The mean runs over pairs of *different* examples i, j, each pair weighing w_i w_j. A bootstrap resample draws some
    questions more than once; two copies of one question correlate perfectly, and to count such pairs would lower
    every resample's diversity by about 1/N of itself. They are left out, so the resamples centre on the estimate.

    Args:
        correlations: [N, N] from `correlation_matrix`, finite wherever both weights are positive; the diagonal is not
            used.
        weights: [R, N], how often each example counts.

    Returns:
        [R]; NaN where fewer than two different examples have weight.
    """
    between = np.where(np.eye(len(correlations), dtype=bool), 0.0, correlations)
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return 1 - ((weights @ between) * weights).sum(axis=1) / pairs
