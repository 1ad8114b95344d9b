import math

import numpy as np

from jaxeap.metrics.intensity import intensity_per_example


def test_by_hand():
    mask = np.array([[True, True], [False, True]])
    scores = np.array([[[1, -2], [0, 3]], [[0, 0], [0, -4]]], np.float32)
    np.testing.assert_array_equal(intensity_per_example(scores, mask), [6 / 4, 4 / 4])
    np.testing.assert_array_equal(intensity_per_example(scores, mask, "edges"), [6 / 3, 4 / 3])


def test_against_an_exact_sum(graph, scores):
    for entries, number in (("all", graph.mask.size), ("edges", graph.mask.sum())):
        expected = [math.fsum(abs(float(score)) for score in matrix.ravel()) / number for matrix in scores]
        np.testing.assert_allclose(intensity_per_example(scores, graph.mask, entries), expected, rtol=1e-14)


def test_sums_are_kept_in_float64():
    scores = np.full((1, 1, 100_001), 1e-4, np.float32)
    scores[0, 0, 0] = 1e4  # in a running float32 sum every further 1e-4 would be lost
    expected = (1e4 + 100_000 * float(np.float32(1e-4))) / 100_001
    np.testing.assert_allclose(intensity_per_example(scores, np.ones((1, 100_001), bool)), expected, rtol=1e-12)
