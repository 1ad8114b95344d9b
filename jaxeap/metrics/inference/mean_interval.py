"""Intervals of very many means at once, from three moments: what BCa would give, without resampling."""

import numpy as np
from scipy import stats

from jaxeap.metrics.entries import FloatArray

METHOD = "second-order"


def mean_intervals(values: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Intervals of means, corrected for the skewness of the values.

    The end points of BCa for a mean are, to second order, mean + se (z + skewness (2 z^2 + 1) / (6 sqrt(N))) with z the
    normal quantile (Hall, "Theoretical Comparison of Bootstrap Confidence Intervals", Annals of Statistics 16, 1988;
    DiCiccio and Efron, "Bootstrap Confidence Intervals", Statistical Science 11, 1996). The first z is replaced by
    Student's quantile for N - 1 degrees of freedom, which matters for few questions.

    Args:
        values: [N, E].
        confidence: between 0 and 1.

    Returns:
        low and high, [E] float64 each; NaN with fewer than two questions.
    """
    count = len(values)
    if count < 2:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    mean = values.mean(axis=0)
    deviations = values - mean
    variance = (deviations**2).mean(axis=0)
    error = np.sqrt(variance / (count - 1))
    third = (deviations**3).mean(axis=0)
    skewness = np.divide(third, variance**1.5, out=np.zeros_like(third), where=variance > 0)
    level = (1 + confidence) / 2
    shift = skewness * (2 * stats.norm.ppf(level) ** 2 + 1) / (6 * np.sqrt(count))
    quantile = stats.t.ppf(level, count - 1)
    return mean + error * (shift - quantile), mean + error * (shift + quantile)
