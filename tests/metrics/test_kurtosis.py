import numpy as np
import pytest

from jaxeap.metrics.kurtosis import kurtosis_per_example


def test_by_hand():
    # -1, 1, -1, 1: m2 = 1, m4 = 1.    0, 0, 0, 4: mean 1, m2 = (3 + 9) / 4 = 3, m4 = (3 + 81) / 4 = 21, 21 / 9 = 7/3
    scores = np.array([[[-1, 1], [-1, 1]], [[0, 0], [0, 4]]], np.float32)
    mask = np.ones((2, 2), bool)
    np.testing.assert_allclose(kurtosis_per_example(scores, mask, definition="pearson"), [1, 7 / 3])
    np.testing.assert_allclose(kurtosis_per_example(scores, mask, definition="fisher"), [-2, 7 / 3 - 3])


@pytest.mark.parametrize("entries", ["all", "edges"])
def test_against_moments(graph, scores, entries):
    expected = []
    for matrix in scores.astype(np.float64):
        values = matrix.ravel() if entries == "all" else matrix[graph.mask]
        deviations = values - values.mean()
        expected.append(np.mean(deviations**4) / np.mean(deviations**2) ** 2 - 3)
    np.testing.assert_allclose(kurtosis_per_example(scores, graph.mask, entries), expected, rtol=1e-12)


def test_an_example_without_spread_has_no_kurtosis():
    scores = np.array([[[0.1, 0.1, 0.1]], [[1, 2, 4]]], np.float32)
    kurtosis = kurtosis_per_example(scores, np.ones((1, 3), bool))
    np.testing.assert_array_equal(np.isnan(kurtosis), [True, False])
