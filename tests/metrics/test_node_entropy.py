import numpy as np
from scipy import stats

from jaxeap.metrics.node_entropy import node_entropy_per_example, node_output_entropy


def test_by_hand():
    mask = np.array([[True, True, True, True], [False, False, True, True], [False, False, False, True]])
    scores = np.array([[[1, -1, 1, -1], [0, 0, 3, 1], [0, 0, 0, 5]]], np.float32)
    quarter = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    np.testing.assert_allclose(node_output_entropy(scores, mask), [[np.log(4), quarter, 0]], atol=1e-15)
    np.testing.assert_allclose(node_entropy_per_example(scores, mask), [(np.log(4) + quarter) / 3])


def test_against_scipy(graph, scores):
    expected = [
        [stats.entropy(np.abs(matrix[source, graph.mask[source]])) for source in range(5)]
        for matrix in scores.astype(np.float64)
    ]
    np.testing.assert_allclose(node_output_entropy(scores, graph.mask), expected, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(node_entropy_per_example(scores, graph.mask), np.mean(expected, axis=1), rtol=1e-13)


def test_a_silent_source_is_left_out_of_the_mean(graph, scores):
    scores[0, 2] = 0
    scores[1] = 0
    entropies = node_output_entropy(scores, graph.mask)
    assert np.isnan(entropies[0, 2]) and np.isnan(entropies[1]).all()
    per_example = node_entropy_per_example(scores, graph.mask)
    np.testing.assert_allclose(per_example[0], entropies[0, [0, 1, 3, 4]].mean(), rtol=1e-13)
    assert np.isnan(per_example[1])
