"""Rank correlation with a bootstrap interval over questions."""

import dataclasses

import numpy as np
from scipy import stats

from jaxeap.metrics.bootstrap import Interval, resample_indices
from jaxeap.metrics.entries import FloatArray
from jaxeap.metrics.inference.bca import bca_interval
from jaxeap.metrics.inference.options import InferenceOptions

FEWEST = 4
"""Fewer pairs have too few orders to say anything."""


@dataclasses.dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho of questions that have both values; None where one of the two does not vary."""

    value: float | None
    interval: Interval | None
    method: str | None
    examples: int


def rank_correlation(x: FloatArray, y: FloatArray, options: InferenceOptions) -> RankCorrelation:
    """Spearman's rho, ranks of ties averaged, and its interval; a resample is ranked anew.

    Args:
        x, y: [N]; questions for which either is NaN are left out.
        options: resamples, seed, confidence and method.
    """
    kept = np.isfinite(x) & np.isfinite(y)
    x, y = x[kept], y[kept]
    count = len(x)
    if count < FEWEST or not np.ptp(x) or not np.ptp(y):
        return RankCorrelation(None, None, None, count)
    observed = float(_spearman(x[None], y[None])[0])
    resampled = np.concatenate(
        [_spearman(x[draws], y[draws]) for draws in resample_indices(count, options.resamples, options.seed)]
    )
    others = np.array([np.delete(np.arange(count), left_out) for left_out in range(count)])
    # A percentile interval has no use for what is left out.
    left_out = _spearman(x[others], y[others]) if options.method == "bca" else np.full(count, np.nan)
    found = bca_interval(observed, resampled, left_out, options.confidence)
    interval, method = found if found else (None, None)
    return RankCorrelation(observed, interval, method, count)


def _spearman(x: FloatArray, y: FloatArray) -> FloatArray:
    """Of every row of [R, N]; NaN where a row does not vary."""
    x, y = (stats.rankdata(values, axis=1) for values in (x, y))
    x, y = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (x, y))
    spread = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return np.divide((x * y).sum(axis=1), spread, out=np.full(len(x), np.nan), where=spread > 0)
