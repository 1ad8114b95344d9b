import numpy as np
from scipy import stats

from jaxeap.metrics.participation import effective_edges, participation_entropy


def test_by_hand():
    mask = np.array([[True, True, True], [False, True, True]])
    scores = np.array([[[2, -2, 2], [0, -2, 2]], [[0, 7, 0], [0, 0, 0]], [[3, -1, 0], [0, 0, 0]]], np.float32)
    np.testing.assert_allclose(effective_edges(scores, mask), [5, 1, 4 / 3**0.75])
    np.testing.assert_allclose(participation_entropy(scores, mask), np.log([5, 1, 4 / 3**0.75]), atol=1e-15)


def test_against_scipy(graph, scores):
    expected = [stats.entropy(np.abs(matrix[graph.mask])) for matrix in scores.astype(np.float64)]
    np.testing.assert_allclose(participation_entropy(scores, graph.mask), expected, rtol=1e-13)


def test_an_example_of_zeros_has_none(graph, scores):
    scores[4] = 0
    np.testing.assert_array_equal(np.isnan(effective_edges(scores, graph.mask)), np.arange(7) == 4)
