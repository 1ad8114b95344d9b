"""The critic: worth nothing at first, and afterwards a linear reading of the normed residual stream."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.model import Decoder
from jaxeap.rl.answered import Answered, answer_residuals
from jaxeap.rl.critic import answer_values, make_critic

pytestmark = pytest.mark.standard_promotion

ANSWERED = Answered.from_tokens([([3, 4, 9], [5, 6, 1]), ([3], [7, 1]), ([8, 2], [9])])


def test_a_new_critic_values_everything_at_exactly_0_and_can_learn(model: Decoder) -> None:
    critic = make_critic(model.weights)
    values, gradients = jax.value_and_grad(lambda c: jnp.sum(answer_values(c, model.config, ANSWERED)))(critic)
    assert float(values) == 0.0
    assert float(gradients["bias"]) == ANSWERED.mask.sum()
    assert np.abs(np.asarray(gradients["head"])).min() > 0.0


def test_values_equal_numpy_ones_and_vanish_at_padding(model: Decoder) -> None:
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.5, 2.0, 16).astype(np.float32)
    trunk = {**model.weights, "final_norm": jnp.array(scale)}
    head = rng.normal(size=16).astype(np.float32)
    critic = {"trunk": trunk, "head": jnp.array(head), "bias": jnp.float32(0.7)}
    residuals = np.asarray(answer_residuals(trunk, model.config, ANSWERED), np.float64)
    normed = residuals / np.sqrt((residuals**2).mean(axis=-1, keepdims=True) + 1e-6) * scale
    expected = np.where(ANSWERED.mask, normed @ head + 0.7, 0.0)
    np.testing.assert_allclose(answer_values(critic, model.config, ANSWERED), expected, atol=1e-5)


def test_the_trunk_is_a_copy(model: Decoder) -> None:
    trunk = make_critic(model.weights)["trunk"]
    for copied, original in zip(jax.tree.leaves(trunk), jax.tree.leaves(model.weights), strict=True):
        np.testing.assert_array_equal(copied, original)
        assert copied is not original
