import itertools

import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.diversity import correlation_matrix, diversity


def test_by_hand():
    # the first two examples are each other's negative, the third is orthogonal to both: correlations -1, 0, 0
    scores = np.array([[[1, -1, 1, -1]], [[-2, 2, -2, 2]], [[1, 1, -1, -1]]], np.float32)
    mask = np.ones((1, 4), bool)
    np.testing.assert_allclose(diversity(correlation_matrix(scores, mask), np.ones((1, 3))), [1 + 1 / 3])
    # absolute values are constant: no correlation exists
    assert np.isnan(correlation_matrix(scores, mask, correlation="absolute")).all()


@pytest.mark.parametrize("entries", ["all", "edges"])
@pytest.mark.parametrize("correlation", ["signed", "absolute"])
def test_against_a_loop_over_pairs(graph, scores, entries, correlation):
    values = scores.astype(np.float64) if correlation == "signed" else np.abs(scores.astype(np.float64))
    rows = [matrix.ravel() if entries == "all" else matrix[graph.mask] for matrix in values]
    pairs = [stats.pearsonr(a, b).statistic for a, b in itertools.combinations(rows, 2)]
    correlations = correlation_matrix(scores, graph.mask, entries, correlation)
    np.testing.assert_allclose(diversity(correlations, np.ones((1, 7))), [1 - np.mean(pairs)], rtol=1e-12)


def test_a_question_drawn_twice_does_not_correlate_with_itself(graph, scores):
    correlations = correlation_matrix(scores, graph.mask)
    draws = [0, 0, 0, 2, 2, 5, 6]
    weights = np.bincount(draws, minlength=7).astype(float)[None]
    pairs = [correlations[a, b] for a, b in itertools.combinations(draws, 2) if a != b]
    np.testing.assert_allclose(diversity(correlations, weights), [1 - np.mean(pairs)], rtol=1e-12)


def test_resamples_centre_on_the_estimate(graph, scores):
    correlations = correlation_matrix(scores, graph.mask)
    weights = np.random.default_rng(0).multinomial(7, np.full(7, 1 / 7), size=20_000).astype(float)
    resampled = diversity(correlations, weights)
    estimate = diversity(correlations, np.ones((1, 7)))[0]
    assert abs(resampled.mean() - estimate) < 5 * resampled.std() / np.sqrt(len(resampled))
    # had copies of one question counted as pairs, the centre would lie lower by 1/7 of the diversity
    assert estimate / 7 > 20 * resampled.std() / np.sqrt(len(resampled))


def test_one_question_alone_has_no_diversity(graph, scores):
    correlations = correlation_matrix(scores, graph.mask)
    assert np.isnan(diversity(correlations, np.eye(7)[:1] * 7)).all()
    assert np.isnan(diversity(correlation_matrix(scores[:1], graph.mask), np.ones((1, 1)))).all()


def test_an_example_without_spread_correlates_with_none(graph, scores):
    scores[2] = 0
    correlations = correlation_matrix(scores, graph.mask)
    assert np.isnan(correlations[2]).all() and np.isnan(correlations[:, 2]).all()
    others = np.delete(np.arange(7), 2)
    np.testing.assert_array_equal(correlations[np.ix_(others, others)], correlation_matrix(scores[others], graph.mask))
