import numpy as np
import pytest

from jaxeap.metrics.bootstrap import check_confidence, percentile_interval, resample_indices, resample_weights


def test_weights_count_the_draws():
    indices = np.concatenate(list(resample_indices(6, 1000, seed=3)))
    weights = np.concatenate(list(resample_weights(6, 1000, seed=3)))
    assert indices.shape == weights.shape == (1000, 6)
    for row, draws in zip(weights, indices, strict=True):
        np.testing.assert_array_equal(row, [np.sum(draws == question) for question in range(6)])


def test_every_question_is_drawn_equally_often():
    weights = np.concatenate(list(resample_weights(10, 20_000, seed=0)))
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=5 * np.sqrt(0.9 / 20_000))
    np.testing.assert_allclose(weights.var(axis=0), 0.9, atol=0.05)  # binomial: 10 * 0.1 * 0.9


def test_the_seed_decides():
    first, again, other = (np.concatenate(list(resample_indices(9, 700, seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_interval_of_known_values():
    values = np.arange(1001.0)
    assert percentile_interval(values, 0.95) == pytest.approx((25, 975))
    assert percentile_interval(np.append(values, np.nan), 0.9) == pytest.approx((50, 950))
    assert percentile_interval(np.full(5, np.nan), 0.95) is None


def test_nothing_to_draw_from_is_refused():
    with pytest.raises(ValueError, match="at least one example"):
        next(resample_indices(0, 10, 0))
    with pytest.raises(ValueError, match="one resample"):
        next(resample_weights(5, 0, 0))


@pytest.mark.parametrize("confidence", [0, 1, 95, -0.5, float("nan")])
def test_confidence_is_a_proportion(confidence):
    with pytest.raises(ValueError, match="between 0 and 1"):
        check_confidence(confidence)
