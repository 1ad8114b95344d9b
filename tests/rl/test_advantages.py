"""Token rewards, generalized advantages and whitening against loops over single answers."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.rl.advantages import generalized_advantages, token_rewards, whiten

pytestmark = pytest.mark.standard_promotion

LENGTHS = np.array([5, 1, 3, 4])
MASK = np.arange(5)[None] < LENGTHS[:, None]


def draws(seed: int, count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(seed).normal(size=(count, 4, 5)).astype(np.float32))


@pytest.mark.parametrize(("discount", "decay"), [(1.0, 0.95), (0.9, 0.7), (1.0, 1.0), (0.8, 0.0)])
def test_advantages_equal_a_loop(discount: float, decay: float) -> None:
    rewards, values = draws(0, 2)
    expected = np.zeros((4, 5))
    for b, length in enumerate(LENGTHS):
        for t in range(length):
            # Equation 16 as it stands: a sum over all later errors.
            for later in range(t, length):
                next_value = values[b, later + 1] if later + 1 < length else 0.0
                error = rewards[b, later] + discount * next_value - values[b, later]
                expected[b, t] += (discount * decay) ** (later - t) * error
    found = generalized_advantages(jnp.array(rewards), jnp.array(values), MASK, discount=discount, decay=decay)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.asarray(found)[~MASK].any()


def test_with_decay_1_an_advantage_is_the_return_less_the_value() -> None:
    rewards, values = draws(1, 2)
    found = generalized_advantages(jnp.array(rewards), jnp.array(values), MASK, discount=1.0, decay=1.0)
    to_come = np.cumsum(np.where(MASK, rewards, 0.0)[:, ::-1], axis=1)[:, ::-1]
    np.testing.assert_allclose(found, np.where(MASK, to_come - values, 0.0), atol=1e-5)


def test_what_stands_in_the_padding_does_not_matter() -> None:
    rewards, values = draws(2, 2)
    clean = generalized_advantages(jnp.array(rewards), jnp.array(values), MASK, discount=1.0, decay=0.95)
    rewards[~MASK], values[~MASK] = np.nan, np.inf
    dirty = generalized_advantages(jnp.array(rewards), jnp.array(values), MASK, discount=1.0, decay=0.95)
    np.testing.assert_array_equal(clean, dirty)


def test_the_reward_comes_last_and_divergence_is_charged_at_each_token() -> None:
    log_probs, reference = draws(3, 2)
    rewards = np.array([1.0, 0.0, 2.0, -1.0], np.float32)
    expected = np.zeros((4, 5))
    for b, length in enumerate(LENGTHS):
        for t in range(length):
            expected[b, t] = -0.3 * (log_probs[b, t] - reference[b, t]) + (rewards[b] if t == length - 1 else 0.0)
    found = token_rewards(jnp.array(rewards), jnp.array(log_probs), jnp.array(reference), MASK, 0.3)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_policy_equal_to_its_reference_is_charged_exactly_nothing() -> None:
    (log_probs,) = draws(4, 1)
    found = token_rewards(jnp.zeros(4), jnp.array(log_probs), jnp.array(log_probs), MASK, 0.3)
    assert not np.asarray(found).any()


def test_whitened_values_have_mean_0_and_variance_1() -> None:
    (values,) = draws(5, 1)
    found = np.asarray(whiten(jnp.array(values * 7 + 3), MASK))
    counted = np.array([values[b, t] for b in range(4) for t in range(LENGTHS[b])], np.float64)
    np.testing.assert_allclose(found[MASK], (counted - counted.mean()) / counted.std(), atol=1e-5)
    assert not found[~MASK].any()
    assert np.isfinite(np.asarray(whiten(jnp.ones((4, 5)), MASK))).all()
