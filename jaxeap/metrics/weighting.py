"""Weighted means and medians: a resample of examples is a vector of weights, how often each example was drawn."""

import numpy as np

from jaxeap.metrics.entries import BoolArray, FloatArray


def weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Mean over examples, once for each row of weights.

    Args:
        values: [N] or [N, K], finite.
        weights: [R, N], not negative.

    Returns:
        [R] or [R, K]; NaN where a row's weights are all zero.
    """
    total = weights.sum(axis=1).reshape(-1, *[1] * (values.ndim - 1))
    with np.errstate(invalid="ignore"):
        return (weights @ values) / total


def weighted_median(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Median over examples, once for each row of weights; whole-number weights are repeats.

    Args:
        values: [N], finite.
        weights: [R, N], not negative.

    Returns:
        [R], the mean of the two middle values where half of the weight lies on either side; NaN where a row's weights
        are all zero.
    """
    order = np.argsort(values)
    ordered = values[order]
    below = np.cumsum(weights[:, order], axis=1)
    half = below[:, -1:] / 2
    lower = ordered[(below < half).sum(axis=1).clip(max=len(ordered) - 1)]
    upper = ordered[(below <= half).sum(axis=1).clip(max=len(ordered) - 1)]
    return np.where(half[:, 0] > 0, (lower + upper) / 2, np.nan)


def defined_examples(statistics: FloatArray) -> BoolArray:
    """Which of N examples a statistic is defined for: those with a finite value in their row.

    Args:
        statistics: [N, ...]; an example without a value (a constant matrix has no kurtosis) is all NaN.

    Returns:
        [N] bool.
    """
    return np.asarray(np.isfinite(statistics).reshape(len(statistics), -1).any(axis=1))
