"""Truncated self-entropy: how surprised the model is by the counted tokens, one number for each example."""

from __future__ import annotations

import chex
import jax
import jax.numpy as jnp

from jaxeap.attribution.batch import Batch
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import unembed
from jaxeap.models.parameters import Weights
from jaxeap.models.propagation import GRADIENT, Propagation
from jaxeap.parallel.sharding import constrain

TARGET_BLOCK = 256
"""Counted positions whose logits are held at once; their softmax is recomputed in the backward pass."""


def counted_loss(
    weights: Weights, config: ModelConfig, final: jax.Array, batch: Batch, propagation: Propagation = GRADIENT
) -> jax.Array:
    """Mean over an example's counted positions of -log p(token | prefix) (arXiv 2509.21044, truncated self-entropy).

    Only the counted positions are unembedded. The number of one example does not depend on the others.

    Args:
      weights: the decoder's weights.
      config: its shape.
      final: [B, T, D], the last residual stream before the final norm.
      batch: the targets.
      propagation: rules of the backward pass.

    Returns:
      [B] float32, in nats.
    """
    size, width = batch.targets.shape
    chex.assert_shape(final, (size, None, config.embed_dim))
    chex.assert_shape(batch.first, (size,))

    def summed(targets: jax.Array, counted: jax.Array, offset: jax.Array) -> jax.Array:
        predicted = offset + jnp.arange(targets.shape[1], dtype=jnp.int32)
        positions = jnp.minimum(jnp.asarray(batch.first)[:, None] - 1 + predicted[None], final.shape[1] - 1)
        read = constrain(jnp.take_along_axis(final, positions[:, :, None], axis=1), "residual")
        surprises = surprise(unembed(weights, config, read, propagation), targets)
        return jnp.sum(jnp.where(counted, surprises, 0.0), axis=1)

    targets, counted = jnp.asarray(batch.targets), jnp.asarray(batch.target_mask)
    if width <= TARGET_BLOCK:
        total = summed(targets, counted, jnp.int32(0))
    else:
        padding = ((0, 0), (0, -width % TARGET_BLOCK))
        blocks = [jnp.pad(a, padding).reshape(size, -1, TARGET_BLOCK).swapaxes(0, 1) for a in (targets, counted)]
        offsets = jnp.arange(len(blocks[0]), dtype=jnp.int32) * TARGET_BLOCK
        total = jnp.sum(jax.lax.map(lambda block: jax.checkpoint(summed)(*block), (*blocks, offsets)), axis=0)
    return constrain(total / jnp.sum(counted, axis=1).astype(jnp.float32), "loss")


def surprise(logits: jax.Array, targets: jax.Array) -> jax.Array:
    """-log p(target) under the softmax of the logits [..., V] float32, of targets [...] int32: [...] float32, in nats.

    As softplus(logsumexp of the other tokens' logits - the target's), so that value and gradient keep all digits where
    the model is sure. `log_softmax` rounds both to multiples of 1e-7 or so there, since it tells 1 - p from p near 1,
    and what RL makes a model is sure.
    """
    at_target = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1) == targets[..., None]
    others = jax.nn.logsumexp(jnp.where(at_target, -jnp.inf, logits), axis=-1)
    return jax.nn.softplus(others - jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0])


def gradient_norm(gradient: jax.Array) -> jax.Array:
    """Euclidean norm of each example's gradient [B, T, D] by the last residual stream: [B] float32.

    Over all positions; those that predict nothing counted, padding among them, have a gradient of exactly 0.
    """
    return constrain(jnp.sqrt(jnp.sum(jnp.square(gradient.astype(jnp.float32)), axis=(1, 2))), "loss")


def loss_and_gradient_norm(
    weights: Weights, config: ModelConfig, final: jax.Array, batch: Batch
) -> tuple[jax.Array, jax.Array]:
    """`counted_loss` [B] and `gradient_norm` [B], for methods whose backward pass, if any, is not the clean run's.

    Only the unembedding is run backward.
    """

    def summed_loss(final: jax.Array) -> tuple[jax.Array, jax.Array]:
        loss = counted_loss(weights, config, final, batch)
        return jnp.sum(loss), loss

    gradient, loss = jax.grad(summed_loss, has_aux=True)(final)
    return loss, gradient_norm(gradient)
