import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.inference.spearman import rank_correlation

OPTIONS = InferenceOptions(resamples=4000, method="percentile")


def test_against_scipy_with_ties():
    generator = np.random.default_rng(0)
    x = generator.normal(size=60)
    y = (x + generator.normal(size=60) > 0).astype(float)
    found = rank_correlation(x, y, OPTIONS)
    np.testing.assert_allclose(found.value, stats.spearmanr(x, y).statistic, rtol=1e-12)

    def spearman(x, y, axis):
        x, y = stats.rankdata(x, axis=axis), stats.rankdata(y, axis=axis)
        return stats.pearsonr(x, y, axis=axis).statistic

    theirs = stats.bootstrap(
        (x, y), spearman, paired=True, vectorized=True, n_resamples=4000, method="percentile", rng=1
    ).confidence_interval
    np.testing.assert_allclose(found.interval, (theirs.low, theirs.high), atol=0.03)


def test_monotone_changes_do_not_matter():
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=25), generator.normal(size=25)
    options = InferenceOptions(resamples=100)
    assert rank_correlation(np.exp(x), 3 * y - 8, options) == rank_correlation(x, y, options)
    assert rank_correlation(x, x**3, options).value == pytest.approx(1)
    assert rank_correlation(x, -x, options).value == pytest.approx(-1)


def test_what_does_not_vary_or_is_missing_has_none():
    x = np.arange(10.0)
    assert rank_correlation(x, np.ones(10), OPTIONS).value is None
    assert rank_correlation(x[:3], x[:3], OPTIONS).value is None
    y = np.where(x == 4, np.nan, -x)
    found = rank_correlation(x, y, OPTIONS)
    assert found.examples == 9 and found.value == pytest.approx(-1)
