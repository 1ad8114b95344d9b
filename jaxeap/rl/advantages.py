"""From rewards and values to advantages, token by token."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp

from jaxeap.rl.answered import Array


def token_rewards(
    rewards: jax.Array, log_probs: jax.Array, reference_log_probs: jax.Array, mask: Array, kl_weight: float
) -> jax.Array:
    """The answer's reward at its last token, and at every token -kl_weight * (log p - log p_ref).

    Equation 2 of Ouyang et al. 2022 (arXiv 2203.02155), spread over the tokens as in Stiennon et al. 2020.

    Args:
      rewards: [B], one an answer.
      log_probs: [B, N] of the policy that drew the answers.
      reference_log_probs: [B, N] of the policy before RL.
      mask: [B, N] bool, the answers' tokens, which come first.
      kl_weight: 0 or more.

    Returns:
      [B, N] float32, 0 at padding.
    """
    chex.assert_equal_shape((log_probs, reference_log_probs, mask))
    chex.assert_shape(rewards, mask.shape[:1])
    last = jnp.arange(mask.shape[1])[None] == jnp.sum(mask, axis=1)[:, None] - 1
    divergence = jnp.where(mask, log_probs - reference_log_probs, 0.0)
    return jnp.where(last, rewards[:, None], 0.0) - kl_weight * divergence


def generalized_advantages(
    rewards: jax.Array, values: jax.Array, mask: Array, *, discount: float, decay: float
) -> jax.Array:
    """Generalized advantage estimation (Schulman et al. 2016, arXiv 1506.02438, equations 11, 12 and 16).

        delta_t = r_t + discount * V_{t+1} - V_t,      A_t = delta_t + discount * decay * A_{t+1}

    Nothing comes after an answer's last token, be it the stop token or not: an answer that was cut is worth its reward.

    Args:
      rewards: [B, N].
      values: [B, N], V of the state in which each token was chosen.
      mask: [B, N] bool, the answers' tokens, which come first.
      discount: gamma.
      decay: lambda.

    Returns:
      [B, N], 0 at padding; A + V is what the values should have been.
    """
    chex.assert_equal_shape((rewards, values, mask))
    rewards, values = (jnp.where(mask, x, 0.0) for x in (rewards, values))
    following = jnp.pad(values[:, 1:], ((0, 0), (0, 1)))
    errors = rewards + discount * following - values

    def earlier(later: jax.Array, error: jax.Array) -> tuple[jax.Array, jax.Array]:
        here = error + discount * decay * later
        return here, here

    _, advantages = jax.lax.scan(earlier, jnp.zeros_like(errors[:, 0]), errors.T, reverse=True)
    return advantages.T


def whiten(values: jax.Array, mask: Array, epsilon: float = 1e-8) -> jax.Array:
    """Shifted and scaled to mean 0 and (population) variance 1 over the masked entries; 0 elsewhere."""
    count = jnp.sum(mask)
    centred = jnp.where(mask, values - jnp.sum(jnp.where(mask, values, 0.0)) / count, 0.0)
    return centred * jax.lax.rsqrt(jnp.sum(jnp.square(centred)) / count + epsilon)
