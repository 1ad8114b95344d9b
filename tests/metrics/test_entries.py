import numpy as np
import pytest

from jaxeap.metrics.entries import check_scores, select_entries


def test_all_entries_keep_structural_zeros_and_edges_drop_them(graph, scores):
    everything = select_entries(scores, graph.mask, "all")
    edges = select_entries(scores, graph.mask, "edges")
    assert everything.shape == (7, 45) and everything.dtype == np.float64
    assert edges.shape == (7, graph.mask.sum()) and edges.dtype == np.float64
    for example in range(7):
        expected = [float(scores[example, s, j]) for s in range(5) for j in range(9) if graph.mask[s, j]]
        np.testing.assert_array_equal(edges[example], expected)
        np.testing.assert_array_equal(everything[example], scores[example].ravel().astype(np.float64))


def test_good_scores_pass(graph, scores):
    check_scores(scores, graph.mask)
    check_scores(scores.astype(np.float64), graph.mask)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_named(graph, scores, bad):
    scores[3, 1, 5] = bad
    with pytest.raises(ValueError, match=rf"tuned scores hold {bad} at example 3, source 1, destination 5"):
        check_scores(scores, graph.mask, "tuned")


def test_a_score_where_no_edge_is_is_named(graph, scores):
    scores[2, 4, 0] = 1e-6
    with pytest.raises(ValueError, match="not zero at example 2, source 4, destination 0"):
        check_scores(scores, graph.mask)


def test_no_examples_are_refused(graph, scores):
    with pytest.raises(ValueError, match="no examples"):
        check_scores(scores[:0], graph.mask)


def test_wrong_shapes_and_types_are_refused(graph, scores):
    with pytest.raises(ValueError, match=r"\[examples, 5, 9\]"):
        check_scores(scores[0], graph.mask)
    with pytest.raises(ValueError, match=r"\[examples, 5, 9\]"):
        check_scores(scores[:, :, :-1], graph.mask)
    with pytest.raises(ValueError, match="float16"):
        check_scores(scores.astype(np.float16), graph.mask)
    with pytest.raises(ValueError, match="mask must be a boolean"):
        check_scores(scores, graph.mask.astype(int))
    with pytest.raises(ValueError, match="at least one edge"):
        check_scores(scores, np.zeros_like(graph.mask))
