"""The interval over seeds and questions against simulation, and against formulas."""

import numpy as np
import pytest
import scipy.stats

from jaxeap.rl.experiments.seed_bootstrap import expanded_confidence, resampled_means, seed_interval, student_interval


def question_resamples(values: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """[K, N] values -> [K, R] means of resampled questions."""
    count, questions = values.shape
    drawn = rng.integers(0, questions, size=(count, resamples, questions))
    return np.take_along_axis(values[:, None], drawn, axis=2).mean(axis=2)


def test_variance_is_that_of_the_two_stages():
    """Var = ((K-1)/K s_seeds^2 + mean of s_questions^2 / N) / K, s_seeds the deviation between the seeds' means."""
    rng = np.random.default_rng(0)
    seeds, questions = 6, 40
    values = rng.normal(size=(seeds, 1)) + 3 * rng.normal(size=(seeds, questions))
    means = resampled_means(question_resamples(values, 20_000, rng), seed=1)
    between = values.mean(axis=1).var()
    within = values.var(axis=1).mean() / questions
    assert means.var() == pytest.approx((between + within) / seeds, rel=0.05)
    assert means.mean() == pytest.approx(values.mean(), abs=0.02)


def test_seeds_of_equal_resamples_vary_independently():
    """All seeds having the very same draws, the mean of K of them has a Kth of their variance."""
    draws = np.random.default_rng(0).normal(size=20_000)
    means = resampled_means(np.stack([draws] * 5), seed=0)
    assert means.var() == pytest.approx(draws.var() / 5, rel=0.05)


@pytest.mark.parametrize(("seeds", "between", "within"), [(5, 1.0, 0.5), (5, 0.3, 3.0), (2, 1.0, 0.5), (3, 1.0, 0.1)])
def test_covers_the_true_mean_as_often_as_promised(seeds, between, within):
    rng = np.random.default_rng(2)
    questions, trials = 30, 300
    covered = 0
    for trial in range(trials):
        values = between * rng.normal(size=(seeds, 1)) + within * rng.normal(size=(seeds, questions))
        # Means of many questions are normal, so their resamples need not be drawn one by one.
        spread = values.std(axis=1, keepdims=True) / np.sqrt(questions)
        draws = values.mean(axis=1, keepdims=True) + spread * rng.normal(size=(seeds, 1000))
        low, high = seed_interval(values.mean(axis=1), list(draws), 0.95, trial)
        covered += low <= 0 <= high
    assert 0.91 <= covered / trials <= 1.0
    # Without the expansion, percentiles over five seeds cover clearly less, and over fewer with it: this is what it and
    # Student's interval are there for.


def test_percentiles_of_few_seeds_cover_too_seldom():
    """What the module's docstring says of them: seeds that differ by far more than questions explain."""
    rng = np.random.default_rng(5)
    for seeds, fewest, most in ((2, 0.5, 0.75), (3, 0.7, 0.9)):
        covered = 0
        for trial in range(200):
            values = rng.normal(size=seeds)
            draws = values[:, None] + 0.1 * rng.normal(size=(seeds, 1000))
            means = resampled_means(draws, trial)
            low, high = np.quantile(means, [0, 1])  # Wider no percentiles can be.
            covered += low <= 0 <= high
        assert fewest <= covered / 200 <= most


def test_expansion_follows_student():
    assert expanded_confidence(0.95, 1) == 0.95
    wide = expanded_confidence(0.95, 5)
    assert scipy.stats.norm.ppf((1 + wide) / 2) == pytest.approx(np.sqrt(5 / 4) * 2.7764, rel=1e-4)
    assert expanded_confidence(0.95, 10_000) == pytest.approx(0.95, abs=1e-4)


def test_one_seed_has_the_interval_of_its_questions():
    draws = np.arange(1001.0)
    assert seed_interval([500.0], [draws], 0.9, 0) == pytest.approx((50, 950))


def test_few_seeds_take_in_students_interval():
    draws = [np.full(100, 1.0), np.full(100, 3.0)]
    assert seed_interval([1.0, 3.0], draws, 0.95, 0) == pytest.approx((2 - 12.7062, 2 + 12.7062), rel=1e-5)
    assert seed_interval([1.0, 3.0], draws, 0.95, 0) == pytest.approx(student_interval([1.0, 3.0], 0.95))


def test_no_seed_no_interval():
    assert seed_interval([], [], 0.95, 0) is None
    assert seed_interval([0.0, 0.0], [np.full(10, np.nan)] * 2, 0.95, 0) is None


def test_resamples_without_a_value_are_left_out():
    draws = np.where(np.arange(1000) < 5, np.nan, 1.0)
    assert seed_interval([1.0, 1.0], [draws, draws], 0.95, 0) == (1.0, 1.0)
