import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.complexity import histogram_counts, histogram_entropy, histogram_uppers

ONE = np.ones((1, 1))


def test_by_hand():
    # |W| = 0, 1, 2, 4 in four bins of width 1 over [0, 4]: one each in bins 0, 1, 2, and the last is closed above
    mask = np.ones((2, 2), bool)
    counts = histogram_counts(np.array([[[0, -1], [2, -4]]], np.float32), mask, bins=4, upper=4.0)
    np.testing.assert_array_equal(counts, [[1, 1, 1, 1]])
    np.testing.assert_allclose(histogram_entropy(counts, ONE), [np.log(4)])
    counts = histogram_counts(np.array([[[0, 0], [0.5, -4]]], np.float32), mask, bins=4, upper=4.0)
    np.testing.assert_array_equal(counts, [[3, 0, 0, 1]])
    np.testing.assert_allclose(histogram_entropy(counts, ONE), [-0.75 * np.log(0.75) - 0.25 * np.log(0.25)])


@pytest.mark.parametrize("entries", ["all", "edges"])
def test_equals_the_entropy_of_one_histogram_of_all_examples(graph, scores, entries):
    upper = float(np.abs(scores).max())
    counts = histogram_counts(scores, graph.mask, entries, bins=30, upper=upper)
    pooled = np.abs(scores if entries == "all" else scores[:, graph.mask]).astype(np.float64).ravel()
    expected_counts, _ = np.histogram(pooled, bins=30, range=(0, upper))
    np.testing.assert_array_equal(counts.sum(axis=0), expected_counts)
    np.testing.assert_allclose(histogram_entropy(counts, np.ones((1, 7))), stats.entropy(expected_counts), rtol=1e-13)


def test_differs_from_the_papers_form_by_less_than_bins_times_eps(graph, scores):
    counts = histogram_counts(scores, graph.mask, bins=100, upper=float(np.abs(scores).max()))
    p = counts.sum(axis=0) / counts.sum()
    for eps in (1e-12, 1e-8, 1e-4):
        papers = -np.sum(p * np.log(p + eps))
        assert abs(histogram_entropy(counts, np.ones((1, 7)))[0] - papers) < 100 * eps


def test_the_range_is_shared_or_each_models_own():
    models = [np.array([[[-3.0, 1.0]]]), np.array([[[2.0, 0.0]]])]
    assert histogram_uppers(models, "shared") == (3.0, 3.0)
    assert histogram_uppers(models, "per_model") == (3.0, 2.0)


def test_a_range_that_would_lose_counts_is_refused(graph, scores):
    with pytest.raises(ValueError, match="would be lost"):
        histogram_counts(scores, graph.mask, bins=10, upper=0.1)


def test_scores_that_are_all_zero_have_no_complexity(graph):
    counts = histogram_counts(np.zeros((3, 5, 9), np.float32), graph.mask, bins=10, upper=0.0)
    np.testing.assert_array_equal(counts, [[45] + 9 * [0]] * 3)
    assert histogram_entropy(counts, np.ones((1, 3)))[0] == 0.0
