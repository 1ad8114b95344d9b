"""What a circuit is judged by: one number for each example, the lower the more like the run that is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import chex
import jax
import jax.numpy as jnp

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.loss import TARGET_BLOCK, counted_loss
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import unembed
from jaxeap.models.parameters import Weights

Metric = Literal["loss", "divergence"]
"""The loss that attribution differentiates, or how far the circuit's predictions are from the full model's."""


def counted_divergence(
    weights: Weights, config: ModelConfig, final: jax.Array, batch: Batch, clean_final: jax.Array | None
) -> jax.Array:
    """Mean over an example's counted positions of KL(full model's next-token distribution || the circuit's).

    Args:
      weights: the decoder's weights.
      config: its shape.
      final: [B, T, D], the circuit's last residual stream before the final norm.
      batch: says which positions are counted.
      clean_final: [B, T, D], that of the full model.

    Returns:
      [B] float32, in nats.
    """
    assert clean_final is not None
    chex.assert_equal_shape((final, clean_final))
    size, width = batch.targets.shape
    padding = -width % min(width, TARGET_BLOCK)
    counted = jnp.pad(jnp.asarray(batch.target_mask), ((0, 0), (0, padding)))
    positions = jnp.asarray(batch.first)[:, None] - 1 + jnp.arange(width + padding, dtype=jnp.int32)[None]
    positions = jnp.minimum(positions, final.shape[1] - 1)

    def summed(block: tuple[jax.Array, jax.Array]) -> jax.Array:
        positions, counted = block
        ours, full = (
            jax.nn.log_softmax(unembed(weights, config, jnp.take_along_axis(at, positions[:, :, None], axis=1)))
            for at in (final, clean_final)
        )
        return jnp.sum(jnp.where(counted, jnp.sum(jnp.exp(full) * (full - ours), axis=-1), 0.0), axis=1)

    blocks = [a.reshape(size, -1, min(width, TARGET_BLOCK)).swapaxes(0, 1) for a in (positions, counted)]
    total = jnp.sum(jax.lax.map(summed, tuple(blocks)), axis=0)
    return total / jnp.sum(counted, axis=1).astype(jnp.float32)


def of_loss(
    weights: Weights, config: ModelConfig, final: jax.Array, batch: Batch, clean_final: jax.Array | None
) -> jax.Array:
    """`counted_loss`, which compares with nothing."""
    return counted_loss(weights, config, final, batch)


MetricFunction = Callable[[Weights, ModelConfig, jax.Array, Batch, jax.Array | None], jax.Array]
"""(weights, config, circuit's final residual [B, T, D], batch, full model's) -> [B] float32."""

METRICS: Mapping[Metric, MetricFunction] = MappingProxyType({"loss": of_loss, "divergence": counted_divergence})
