"""How an example's positions are weighed where something is averaged over them."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxeap.attribution.batch import Batch


def real_position_weights(batch: Batch) -> jax.Array:
    """The same weight for each real position of an example: [B, T] float32, each row sums to 1."""
    real = jnp.asarray(batch.mask, jnp.float32)
    return real / jnp.sum(real, axis=1, keepdims=True)


def predicting_position_weights(batch: Batch) -> jax.Array:
    """The same weight for each position that predicts a counted token: [B, T] float32, each row sums to 1."""
    size, width = batch.targets.shape
    counted = jnp.asarray(batch.target_mask, jnp.float32)
    offsets = jnp.arange(width, dtype=jnp.int32)
    positions = jnp.asarray(batch.first)[:, None] - 1 + offsets[None]
    rows = jnp.arange(size, dtype=jnp.int32)[:, None]
    weights = counted / jnp.sum(counted, axis=1, keepdims=True)
    return jnp.zeros(batch.tokens.shape, jnp.float32).at[rows, positions].add(weights, mode="drop")
