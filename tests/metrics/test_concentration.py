import numpy as np

from jaxeap.metrics.concentration import gini_per_example, top_mass_per_example


def one_row(*values: float) -> tuple[np.ndarray, np.ndarray]:
    return np.array(values, np.float64)[None, None], np.ones((1, len(values)), bool)


def test_by_hand():
    # 1, 3: mean absolute difference of all four pairs is 1, over twice the mean 2
    np.testing.assert_allclose(gini_per_example(*one_row(1, -3)), [1 / 4])
    np.testing.assert_allclose(gini_per_example(*one_row(5, 5, -5)), [0], atol=1e-15)
    np.testing.assert_allclose(gini_per_example(*one_row(0, 0, 0, 2)), [3 / 4])
    np.testing.assert_allclose(top_mass_per_example(*one_row(1, -3, 2, 4), 0.5), [7 / 10])
    np.testing.assert_allclose(top_mass_per_example(*one_row(1, -3, 2, 4), 0.01), [4 / 10])
    np.testing.assert_allclose(top_mass_per_example(*one_row(1, -3, 2, 4), 1.0), [1])


def test_against_pairs_and_sorted_lists(graph, scores):
    for example, matrix in enumerate(np.abs(scores.astype(np.float64))):
        values = matrix[graph.mask]
        pairs = np.abs(values[:, None] - values[None]).mean() / (2 * values.mean())
        np.testing.assert_allclose(gini_per_example(scores, graph.mask)[example], pairs, rtol=1e-12)
        strongest = sorted(values, reverse=True)[:2]  # 10% of 23 edges
        expected = sum(strongest) / values.sum()
        np.testing.assert_allclose(top_mass_per_example(scores, graph.mask, 0.1)[example], expected, rtol=1e-12)


def test_ties_at_the_edge_of_the_top_are_cut_by_number():
    np.testing.assert_allclose(top_mass_per_example(*one_row(2, 2, 2, 2), 0.5), [0.5])


def test_zero_edges_make_both_larger_and_structural_zeros_do_not():
    scores, mask = one_row(1, 2, 3, 4)
    more = np.concatenate([scores, np.zeros((1, 1, 4))], axis=2)
    structural = np.concatenate([mask, np.zeros((1, 4), bool)], axis=1)
    edges = np.ones((1, 8), bool)
    gini, mass = gini_per_example(scores, mask), top_mass_per_example(scores, mask, 0.25)
    np.testing.assert_array_equal(gini_per_example(more, structural), gini)
    np.testing.assert_array_equal(top_mass_per_example(more, structural, 0.25), mass)
    np.testing.assert_allclose(gini_per_example(more, edges), (1 + gini) / 2)  # half of the edges now hold nothing
    np.testing.assert_allclose(top_mass_per_example(more, edges, 0.25), [7 / 10])


def test_silent_examples_have_neither():
    silent, mask = one_row(0, 0)
    assert np.isnan(gini_per_example(silent, mask)).all() and np.isnan(top_mass_per_example(silent, mask)).all()
