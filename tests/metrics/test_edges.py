import numpy as np
from scipy import stats

from jaxeap.metrics.edges import edge_contrast
from jaxeap.metrics.inference.mean_interval import mean_intervals
from jaxeap.metrics.inference.saddlepoint import sign_flip_p_values


def test_against_numpy(graph, scores, tuned_scores):
    found = edge_contrast(scores, tuned_scores, graph.mask, confidence=0.9)
    base, tuned = scores.astype(np.float64), tuned_scores.astype(np.float64)
    differences = (np.abs(tuned) - np.abs(base))[:, graph.mask]
    low, high = mean_intervals(differences, 0.9)
    p_values = sign_flip_p_values(differences)
    expected = {
        "base": np.abs(base)[:, graph.mask].mean(axis=0),
        "tuned": np.abs(tuned)[:, graph.mask].mean(axis=0),
        "base_signed": base[:, graph.mask].mean(axis=0),
        "tuned_signed": tuned[:, graph.mask].mean(axis=0),
        "difference": differences.mean(axis=0),
        "low": low,
        "high": high,
        "p_value": p_values,
        "q_value": stats.false_discovery_control(p_values),
    }
    arrays = found.arrays()
    assert set(arrays) == set(expected)
    for name, matrix in arrays.items():
        assert matrix.dtype == np.float32 and matrix.shape == graph.mask.shape
        np.testing.assert_array_equal(np.isnan(matrix), ~graph.mask)
        np.testing.assert_allclose(matrix[graph.mask], expected[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_planted_edges_are_found_among_many():
    generator = np.random.default_rng(0)
    mask = np.ones((20, 40), bool)
    strength = generator.lognormal(size=(1, 20, 40))
    base = strength * generator.standard_normal((60, 20, 40))
    tuned = strength * generator.standard_normal((60, 20, 40))
    tuned[:, :2] *= 2.0
    found = edge_contrast(base, tuned, mask)
    changed = found.q_value <= 0.05
    assert changed[:2].mean() > 0.9 and changed[2:].mean() < 0.01
    assert (found.low[:2] > 0).mean() > 0.9
    assert (found.difference[:2][changed[:2]] > 0).all()


def test_equal_models_and_a_single_question(graph, scores):
    equal = edge_contrast(scores, scores.copy(), graph.mask)
    for name, value in (("difference", 0), ("low", 0), ("high", 0), ("p_value", 1), ("q_value", 1)):
        np.testing.assert_array_equal(equal.arrays()[name][graph.mask], value)
    one = edge_contrast(scores[:1], 2 * scores[:1], graph.mask)
    assert np.isnan(one.low).all() and (one.p_value[graph.mask] == 1).all()


def test_progress_is_told(graph, scores, tuned_scores):
    told = []
    edge_contrast(scores, tuned_scores, graph.mask, memory_bytes=16 * 7 * 10, advance=told.append)
    assert told == [10, 10, 3]
