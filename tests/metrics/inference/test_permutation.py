import itertools

import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.inference.permutation import permutation_p_value, sign_patterns


def mean_difference(differences: np.ndarray):
    return lambda signs: signs @ differences / len(differences)


def test_all_patterns_where_they_are_few():
    blocks, exact = sign_patterns(10, 1024, 0)
    patterns = np.concatenate(list(blocks))
    assert exact and {tuple(row) for row in patterns} == set(itertools.product((1.0, -1.0), repeat=10))
    assert len(patterns) == 1024
    assert not sign_patterns(11, 1024, 0)[1]


def test_random_patterns_are_fair_and_seeded():
    first, again, other = (np.concatenate(list(sign_patterns(20, 4000, seed)[0])) for seed in (1, 1, 2))
    assert first.shape == (4000, 20) and set(np.unique(first)) == {-1.0, 1.0}
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_allclose(first.mean(axis=0), 0, atol=5 / np.sqrt(4000))


def test_by_hand():
    # of the eight signed sums of 1, 2, 4 only 7 and -7 are as far out as 7; of 1, 2, -4 (sum -1) all are
    assert permutation_p_value(mean_difference(np.array([1.0, 2, 4])), 3, 8, 0) == 2 / 8
    assert permutation_p_value(mean_difference(np.array([1.0, 2, -4])), 3, 8, 0) == 1


@pytest.mark.parametrize("count", [7, 12])
def test_against_scipys_exact_test(count):
    generator = np.random.default_rng(count)
    base, tuned = generator.normal(size=count), generator.normal(0.6, size=count)
    theirs = stats.permutation_test(
        (tuned, base),
        lambda t, b, axis: t.mean(axis=axis) - b.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    ).pvalue
    ours = permutation_p_value(mean_difference(tuned - base), count, 2**count, 0, rounding=1e-12)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_random_patterns_come_near_the_exact_value_and_never_to_zero():
    differences = np.random.default_rng(0).normal(0.4, size=14)
    exact = permutation_p_value(mean_difference(differences), 14, 2**14, 0)
    sampled = permutation_p_value(mean_difference(differences), 14, 9999, 0)
    assert abs(sampled - exact) < 5 * np.sqrt(exact * (1 - exact) / 9999)
    assert permutation_p_value(mean_difference(np.ones(40)), 40, 99, 0) == 1 / 100


def test_no_difference_at_all_has_p_one():
    assert permutation_p_value(mean_difference(np.zeros(5)), 5, 32, 0) == 1
    assert permutation_p_value(mean_difference(np.zeros(50)), 50, 99, 0) == 1


def test_under_the_null_p_values_are_uniform():
    generator = np.random.default_rng(7)
    differences = generator.standard_t(3, size=(400, 30)) * generator.lognormal(size=30)
    p_values = [permutation_p_value(mean_difference(row), 30, 999, seed) for seed, row in enumerate(differences)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.01
