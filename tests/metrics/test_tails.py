import numpy as np
from scipy import stats

from jaxeap.metrics.tails import tail_index_per_example


def test_by_hand():
    # 0, 1, ..., 40 has its quantiles at 1, 10, 30, 39
    scores = np.arange(41, dtype=np.float32)[None, None]
    np.testing.assert_allclose(tail_index_per_example(scores, np.ones((1, 41), bool)), [38 / 20])


def test_of_a_normal_and_of_a_heavier_distribution():
    ranks = np.linspace(0, 1, 401)[1:-1]  # the quantiles asked for fall on these, with one more value at either end
    scores = np.stack([np.pad(stats.norm.ppf(ranks), 1, "edge"), np.pad(stats.t.ppf(ranks, 3), 1, "edge")])[:, None]
    normal, heavy = tail_index_per_example(scores, np.ones((1, 401), bool))
    np.testing.assert_allclose(normal, stats.norm.ppf(0.975) / stats.norm.ppf(0.75), rtol=1e-12)
    np.testing.assert_allclose(heavy, stats.t.ppf(0.975, 3) / stats.t.ppf(0.75, 3), rtol=1e-12)


def test_does_not_move_with_the_single_largest_score(graph, scores):
    outlier = scores.copy()
    outlier[:, 0, 0] = np.where(scores[:, 0, 0] >= 0, 1e4, -1e4)
    many = np.concatenate([scores[:, graph.mask]] * 6 + [outlier[:, graph.mask]], axis=1)[:, None]
    mask = np.ones((1, many.shape[2]), bool)
    before = tail_index_per_example(np.concatenate([scores[:, graph.mask]] * 7, axis=1)[:, None], mask)
    np.testing.assert_allclose(tail_index_per_example(many, mask), before, rtol=0.15)


def test_shift_and_scale_do_not_matter(graph, scores):
    edges = scores[:, graph.mask][:, None].astype(np.float64)
    mask = np.ones((1, edges.shape[2]), bool)
    moved = tail_index_per_example(3 * edges - 11, mask)
    np.testing.assert_allclose(moved, tail_index_per_example(edges, mask), rtol=1e-12)


def test_coinciding_quartiles_leave_it_undefined():
    scores = np.zeros((1, 1, 100), np.float32)
    scores[..., :3] = 1
    assert np.isnan(tail_index_per_example(scores, np.ones((1, 100), bool))).all()
