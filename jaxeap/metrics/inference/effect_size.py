"""Effect sizes: a difference in units of its scatter from question to question."""

import numpy as np
from scipy import special

from jaxeap.metrics.entries import FloatArray

MAD_TO_SD = 1.482602218505602
"""1 / the normal distribution's upper quartile: scales a median absolute deviation to a standard deviation."""


def hedges_g(differences: FloatArray) -> float | None:
    """Paired Hedges g: mean / standard deviation of the questions' differences, corrected for few questions.

    Cohen's d_z times J(N - 1), J(m) = Gamma(m / 2) / (sqrt(m / 2) Gamma((m - 1) / 2)) (Hedges, "Distribution Theory for
    Glass's Estimator of Effect Size", 1981). About 0.2 is called small, 0.8 large; it does not grow with N, as a test
    statistic does.

    Args:
        differences: [N], tuned - base.

    Returns:
        None with fewer than three questions, or where all differences are equal.
    """
    freedom = len(differences) - 1
    if freedom < 2 or np.ptp(differences) == 0:
        return None
    correction = np.exp(special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2)) / np.sqrt(freedom / 2)
    return float(correction * differences.mean() / differences.std(ddof=1))


def robust_effect(differences: FloatArray) -> float | None:
    """Median difference over the median absolute deviation (scaled to a standard deviation), for metrics like medians.

    Args:
        differences: [N], tuned - base.

    Returns:
        None with fewer than three questions, or where the middle half of them are equal.
    """
    if len(differences) < 3:
        return None
    centre = np.median(differences)
    scatter = MAD_TO_SD * np.median(np.abs(differences - centre))
    return float(centre / scatter) if scatter > 0 else None


def pseudo_values(observed: float, left_out: FloatArray) -> FloatArray:
    """What each question contributes to a metric that is no mean: N theta - (N - 1) theta without it (the jackknife).

    Of a mean they are the values themselves, so `hedges_g` of them is the same thing for every metric.
    """
    count = len(left_out)
    return count * observed - (count - 1) * left_out
