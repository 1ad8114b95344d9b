"""Distribution kurtosis: how much of an example's spread sits in a few extreme entries."""

import numpy as np
import numpy.typing as npt
from scipy import stats

from jaxeap.metrics.entries import BoolArray, FloatArray, select_entries
from jaxeap.metrics.options import Entries, KurtosisDefinition


def kurtosis_per_example(
    scores: npt.NDArray, mask: BoolArray, entries: Entries = "all", definition: KurtosisDefinition = "fisher"
) -> FloatArray:
    """Kurtosis m4 / m2^2 of each example's signed entries; its mean over examples is the paper's (2509.21044, Eq. 16).

    Moments are the population's (divided by the number of entries, no bias correction).

    Args:
        scores: [N, S, J].
        mask: [S, J] bool.
        entries: the matrix entries that count.
        definition: "fisher" subtracts 3, "pearson" does not.

    Returns:
        [N] float64, no unit; NaN for an example whose entries are all equal.
    """
    values = select_entries(scores, mask, entries)
    varied = np.ptp(values, axis=1) > 0
    kurtosis = np.full(len(values), np.nan)
    kurtosis[varied] = stats.kurtosis(values[varied], axis=1, fisher=definition == "fisher", bias=True)
    return kurtosis
