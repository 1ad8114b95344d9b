import numpy as np
import pytest

from jaxeap.metrics.weighting import defined_examples, weighted_mean, weighted_median


def test_whole_number_weights_are_repeats():
    values = np.array([[1.0, 10.0], [2.0, 20.0], [6.0, 60.0]])
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 1.0]])
    np.testing.assert_allclose(weighted_mean(values, weights), [[3.0, 30.0], [8 / 3, 80 / 3]])
    np.testing.assert_allclose(weighted_mean(values[:, 0], weights), [3.0, 8 / 3])


def test_no_weight_at_all_has_no_mean():
    assert np.isnan(weighted_mean(np.array([1.0, 2.0]), np.zeros((1, 2)))).all()


def test_an_example_is_defined_when_its_row_holds_a_value():
    correlations = np.array([[1.0, np.nan, 0.3], [np.nan, np.nan, np.nan], [0.3, np.nan, 1.0]])
    np.testing.assert_array_equal(defined_examples(correlations), [True, False, True])
    np.testing.assert_array_equal(defined_examples(np.array([np.nan, 2.0])), [False, True])


def test_the_weighted_median_is_that_of_the_repeats():
    generator = np.random.default_rng(0)
    for count in (1, 2, 5, 8):
        values = np.round(generator.standard_normal(count), 1)
        weights = generator.multinomial(count, np.full(count, 1 / count), size=200).astype(float)
        expected = [np.median(np.repeat(values, row.astype(int))) for row in weights]
        np.testing.assert_array_equal(weighted_median(values, weights), expected)
    assert np.isnan(weighted_median(np.array([1.0, 2.0]), np.zeros((1, 2)))).all()


def test_one_wild_value_moves_the_mean_and_not_the_median():
    values, weights = np.array([2.9, 3.0, 3.1, 4000.0]), np.ones((1, 4))
    assert weighted_median(values, weights)[0] == pytest.approx(3.05)
    assert weighted_mean(values, weights)[0] > 1000
