"""Draws against the distribution that an independent NumPy implementation says they should have."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxeap.sampling.draw import draw, token_keys

LOGITS = np.array([2.0, -1.0, 0.0, 1.5, 0.5, 1.4], np.float32)
COUNT = 4000


def kept_distribution(logits: np.ndarray, temperature: float, top_k: int, top_p: float) -> np.ndarray:
    """Token by token from the likeliest: of the first k, taken while what is taken has less than p of them."""
    weights = np.exp(logits.astype(np.float64) / temperature)
    order = sorted(range(len(weights)), key=lambda token: (-weights[token], token))[: top_k or None]
    whole, taken, result = sum(weights[token] for token in order), 0.0, np.zeros(len(weights))
    for token in order:
        if taken >= top_p * whole:
            break
        result[token] = weights[token]
        taken += weights[token]
    return result / result.sum()


@pytest.mark.parametrize(
    ("temperature", "top_k", "top_p"),
    [(1.0, 0, 1.0), (0.7, 3, 1.0), (1.3, 0, 0.8), (1.0, 4, 0.75), (1.0, 0, 1e-6), (1.0, 99, 0.97), (0.5, 1, 1.0)],
)
def test_draws_have_the_distribution_that_is_left(temperature: float, top_k: int, top_p: float) -> None:
    keys = jax.random.split(jax.random.key(3), COUNT)
    tokens = np.asarray(draw(jnp.broadcast_to(LOGITS, (COUNT, 6)), keys, temperature, top_k, top_p))
    expected = kept_distribution(LOGITS, temperature, top_k, top_p)
    observed = np.bincount(tokens, minlength=6)
    assert not observed[expected == 0].any()
    if (expected > 0).sum() > 1:
        some = expected > 0
        assert scipy.stats.chisquare(observed[some], expected[some] * COUNT).pvalue > 0.001


def test_of_equal_tokens_top_k_keeps_the_first_and_no_more_than_k() -> None:
    keys = jax.random.split(jax.random.key(0), 200)
    tokens = draw(jnp.zeros((200, 5)), keys, 1.0, top_k=2)
    assert set(np.asarray(tokens).tolist()) == {0, 1}


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    logits = jnp.array([[0.0, 3.0, 3.0], [5.0, 1.0, 2.0]])
    assert draw(logits, jax.random.split(jax.random.key(0), 2), 0.0).tolist() == [1, 0]


def test_each_of_seed_id_sample_and_place_gives_other_keys() -> None:
    def data(seed: int, *row: int) -> tuple[int, ...]:
        ids, samples, places = (np.array([number], dtype) for number, dtype in zip(row, "Iii", strict=True))
        return tuple(jax.random.key_data(token_keys(jax.random.key(seed), ids, samples, places))[0].tolist())

    rows = [(0, 1, 2, 3), (1, 1, 2, 3), (0, 2, 2, 3), (0, 1, 3, 3), (0, 1, 2, 4), (0, 2, 1, 3), (0, 1, 3, 2)]
    assert len({data(*row) for row in rows}) == len(rows)
    assert data(0, 1, 2, 3) == data(0, 1, 2, 3)
