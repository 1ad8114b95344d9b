import numpy as np

from jaxeap.metrics.inference.false_discovery import q_values
from jaxeap.metrics.inference.saddlepoint import sign_flip_p_values


def test_by_hand():
    # sorted p times 4 / rank, from the largest down never rising: 0.04, 0.04, 0.0533, 0.5
    np.testing.assert_allclose(q_values([0.02, 0.5, 0.01, 0.04]), [0.04, 0.5, 0.04, 0.04 * 4 / 3])


def test_what_was_not_tested_does_not_count():
    np.testing.assert_allclose(q_values([0.02, None, 0.04]), [0.04, np.nan, 0.04])
    np.testing.assert_allclose(q_values(np.array([np.nan, 0.3])), [np.nan, 0.3])
    assert np.isnan(q_values([None, None])).all() and len(q_values([])) == 0


def test_the_false_discovery_rate_holds_where_a_tenth_of_the_edges_changed():
    generator = np.random.default_rng(0)
    proportions, found = [], []
    for _ in range(30):
        differences = generator.standard_t(5, size=(40, 500))
        differences[:, :50] += 0.8
        called = q_values(sign_flip_p_values(differences)) <= 0.1
        proportions.append(called[50:].sum() / max(called.sum(), 1))
        found.append(called[:50].mean())
    error = np.std(proportions) / np.sqrt(30)
    assert np.mean(proportions) < 0.9 * 0.1 + 3 * error
    assert np.mean(proportions) > 0.9 * 0.1 - 4 * error  # and it is not held by calling nothing
    assert np.mean(found) > 0.7
