"""Cached forward pass for generation: every row of the batch stands at a position of its own."""

from __future__ import annotations

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp

from jaxeap.models.attention import attend
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import block, embed, layer_windows, position_embedding, turning, window_of
from jaxeap.models.parameters import Weights
from jaxeap.models.rope_scaling import LongRopeScaling


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class KVCache:
    """Keys (rotated) and values of the tokens seen so far.

    Attributes:
      key, value: [L, B, S, G, K]; slot s of a row holds its token at position s.
      lengths: [B] int32, how many slots of each row are filled.
    """

    key: jax.Array
    value: jax.Array
    lengths: jax.Array

    @classmethod
    def empty(cls, config: ModelConfig, batch: int, slots: int, dtype: Any) -> KVCache:
        """Room for `slots` tokens in each of `batch` rows; ValueError as of `require_room`."""
        require_room(config, slots)
        shape = (config.num_layers, batch, slots, config.num_kv_heads, config.head_dim)
        return cls(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), jnp.zeros((batch,), jnp.int32))


def require_room(config: ModelConfig, slots: int) -> None:
    """Refuses rows of `slots` tokens in a cache of the model.

    Raises:
      ValueError: the model has learned positions, and fewer of them; or it turns long sequences by other angles.
    """
    if 0 < config.learned_positions < slots:
        raise ValueError(f"room for {slots} tokens was asked for, the model has {config.learned_positions} positions")
    for scaling in (rope.scaling for rope in (config.rope, *config.layer_ropes) if rope is not None):
        if isinstance(scaling, LongRopeScaling) and scaling.original_length < slots:
            raise ValueError(
                f"room for {slots} tokens was asked for; beyond {scaling.original_length} this model turns keys "
                "otherwise (longrope), those in the cache too: ask for shorter answers"
            )


def extend(
    weights: Weights, config: ModelConfig, tokens: jax.Array, counts: jax.Array, cache: KVCache
) -> tuple[jax.Array, KVCache]:
    """Runs the next tokens of every row: a whole prompt or one step, rows need not stand at the same position.

    Args:
      weights: tree of `parameter_specs(config)`.
      config: the decoder's shape.
      tokens: [B, T] int32, right-padded.
      counts: [B] int32, how many of each row's tokens are real; a row with 0 stays where it is.
      cache: what was seen before; tokens beyond its slots are dropped, so give it room enough.

    Returns:
      The last residual stream [B, T, D] (meaningful at the real tokens) and the cache with them added.
    """
    batch, length = tokens.shape
    slots = cache.key.shape[2]
    chex.assert_shape((counts, cache.lengths), (batch,))
    positions = cache.lengths[:, None] + jnp.arange(length, dtype=jnp.int32)[None]
    rotation, turned = turning(config, positions)
    slot_positions = jnp.broadcast_to(jnp.arange(slots, dtype=jnp.int32)[None], (batch, slots))
    # Padding is written beyond the row's end, where no query looks before a real token has overwritten it.
    every_slot = jnp.ones((batch, slots), bool)
    rows = jnp.arange(batch)[:, None]

    def step(carry: tuple[jax.Array, jax.Array, jax.Array], layered: Any) -> tuple[Any, None]:
        x, keys, values = carry
        layer, window, index = layered

        def mix(query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[jax.Array, Any]:
            new_keys = keys.at[index, rows, positions].set(key, mode="drop")
            new_values = values.at[index, rows, positions].set(value, mode="drop")
            heads = attend(
                query,
                new_keys[index],
                new_values[index],
                positions,
                slot_positions,
                every_slot,
                window_of(window),
                config.query_scale,
                softcap=config.attention_softcap,
            )
            return heads, (new_keys, new_values)

        x, _, (keys, values) = block(x, layer, None, config, rotation, turned(window, mix))
        return (x, keys, values), None

    layered = (weights["layers"], layer_windows(config), jnp.arange(config.num_layers))
    embedding, at_positions = embed(weights, config, tokens), position_embedding(weights, positions)
    start = embedding if at_positions is None else embedding + at_positions
    (x, keys, values), _ = jax.lax.scan(step, (start, cache.key, cache.value), layered)
    return x, KVCache(keys, values, cache.lengths + counts)
