import numpy as np
from scipy import stats

from jaxeap.metrics.inference.mean_interval import mean_intervals


def test_comes_near_scipys_bca():
    values = np.random.default_rng(0).exponential(size=(150, 4))
    low, high = mean_intervals(values, 0.95)
    for edge in range(4):
        theirs = stats.bootstrap(
            (values[:, edge],), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
        ).confidence_interval
        np.testing.assert_allclose(
            [low[edge], high[edge]], [theirs.low, theirs.high], atol=0.05 * (theirs.high - theirs.low)
        )


def test_without_skewness_it_is_students():
    values = np.array([[-1.0], [0.0], [1.0], [3.0], [4.0], [5.0]])
    low, high = mean_intervals(values, 0.9)
    expected = stats.t.interval(0.9, 5, loc=2, scale=stats.sem(values[:, 0]))
    np.testing.assert_allclose([low[0], high[0]], expected, rtol=1e-12)


def test_few_or_equal_questions():
    assert np.isnan(mean_intervals(np.ones((1, 3)), 0.95)).all()
    np.testing.assert_array_equal(mean_intervals(np.full((5, 2), 0.25), 0.95), 0.25)


def test_covers_the_mean_of_skewed_differences():
    generator = np.random.default_rng(2)
    values = generator.exponential(size=(100, 6000)) - 1.3
    low, high = mean_intervals(values, 0.95)
    assert 0.93 < ((low <= -0.3) & (high >= -0.3)).mean() < 0.97
    ten = generator.normal(size=(10, 6000))
    low, high = mean_intervals(ten, 0.95)
    assert 0.93 < ((low <= 0) & (high >= 0)).mean() < 0.97
