import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.bootstrap import resample_weights
from jaxeap.metrics.inference.bca import bca_interval


def resampled_means(values: np.ndarray, resamples: int, seed: int = 0) -> np.ndarray:
    return np.concatenate(
        [weights @ values / len(values) for weights in resample_weights(len(values), resamples, seed)]
    )


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_against_scipys_bca(confidence):
    values = np.random.default_rng(3).lognormal(size=40)
    left_out = (values.sum() - values) / 39
    (low, high), method = bca_interval(values.mean(), resampled_means(values, 40_000), left_out, confidence)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, confidence_level=confidence, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    assert method == "bca"
    np.testing.assert_allclose([low, high], [theirs.low, theirs.high], atol=0.03 * (theirs.high - theirs.low))
    plain = np.quantile(resampled_means(values, 40_000), [(1 - confidence) / 2, (1 + confidence) / 2])
    assert low > plain[0] and high > plain[1]  # a skewed mean's interval moves towards its long tail


def test_by_hand():
    # no skewness, so no acceleration; 30 of 100 resamples lie below: z0 = -0.5244, percentiles Phi(2 z0 -+ 1.96)
    resampled, left_out = np.arange(100.0), np.array([1.0, 2.0, 3.0])
    (low, high), _ = bca_interval(29.5, resampled, left_out, 0.95)
    levels = stats.norm.cdf(2 * stats.norm.ppf(0.3) + np.array([-1, 1]) * stats.norm.ppf(0.975))
    np.testing.assert_allclose([low, high], 99 * levels, rtol=1e-12)


def test_where_bca_is_not_defined_the_percentile_interval_is_named():
    resampled, flat = np.arange(1001.0), np.ones(5)
    assert bca_interval(500.0, resampled, flat, 0.95) == (pytest.approx((25, 975)), "percentile")
    assert bca_interval(-1.0, resampled, np.arange(5.0), 0.95) == (pytest.approx((25, 975)), "percentile")
    assert bca_interval(500.0, resampled, np.array([1.0, np.nan]), 0.95) == (pytest.approx((25, 975)), "percentile")
    assert bca_interval(0.0, np.zeros(9), np.zeros(4), 0.95) == ((0, 0), "percentile")


def test_resamples_without_a_value_are_left_out():
    values = np.random.default_rng(0).normal(size=300)
    left_out = np.random.default_rng(1).normal(size=20)
    assert bca_interval(0.0, np.append(values, np.nan), left_out, 0.95) == bca_interval(0.0, values, left_out, 0.95)
    assert bca_interval(0.0, np.full(5, np.nan), left_out, 0.95) is None
