import numpy as np

from jaxeap.metrics.weighting import defined_examples, weighted_mean


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
