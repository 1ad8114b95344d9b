"""Bootstrap intervals from resampled values: bias-corrected and accelerated, or percentile."""

import numpy as np
from scipy.special import ndtr, ndtri

from jaxeap.metrics.bootstrap import Interval, percentile_interval
from jaxeap.metrics.entries import FloatArray


def bca_interval(
    observed: float, resampled: FloatArray, left_out: FloatArray, confidence: float
) -> tuple[Interval, str] | None:
    """The BCa interval (Efron, "Better Bootstrap Confidence Intervals", JASA 82, 1987), or the percentile one.

    Percentiles of the resampled values, moved by the bias z0 (how much more than half of them lie below the observed
    value) and the acceleration a (how the spread goes with the value itself, from the skewness of the jackknife). It
    is not defined where all resampled values lie on one side of the observed one, or where the metric is the same
    whichever question is left out; the percentile interval is then given, and named.

    Args:
        observed: the value over all examples.
        resampled: [R]; resamples without a value (NaN) are left out.
        left_out: [N], the values with one example left out.
        confidence: between 0 and 1.

    Returns:
        (low, high) and the method, "bca" or "percentile"; None when no resample has a value.
    """
    finite = resampled[np.isfinite(resampled)]
    levels = _bca_levels(observed, finite, left_out, confidence) if len(finite) else None
    if levels is None:
        plain = percentile_interval(finite, confidence)
        return None if plain is None else (plain, "percentile")
    low, high = np.quantile(finite, levels)
    return (float(low), float(high)), "bca"


def _bca_levels(observed: float, resampled: FloatArray, left_out: FloatArray, confidence: float) -> FloatArray | None:
    below = ((resampled < observed).mean() + (resampled <= observed).mean()) / 2
    deviations = left_out.mean() - left_out
    spread = (deviations**2).sum()
    if not (0 < below < 1 and np.isfinite(spread) and spread > 0):
        return None
    bias = ndtri(below)
    acceleration = (deviations**3).sum() / (6 * spread**1.5)
    quantiles = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    denominators = 1 - acceleration * quantiles
    if (denominators <= 0).any():
        return None
    return ndtr(bias + quantiles / denominators)
