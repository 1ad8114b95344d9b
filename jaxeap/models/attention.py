"""Grouped-query causal attention, with or without a sliding window, in memory linear in the number of keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import chex
import jax
import jax.numpy as jnp

from jaxeap.models.propagation import GRADIENT, Propagation, constant_if
from jaxeap.models.taps import LayerTaps

QUERY_BLOCK = 512
"""Queries attended at once: attention probabilities take B * H * QUERY_BLOCK * S floats, never T * S."""


def project(
    kind: Literal["query", "key", "value"], x: jax.Array, layer: Mapping[str, jax.Array], taps: LayerTaps | None
) -> jax.Array:
    """Queries [B, T, H, K], or keys or values [B, T, G, K], of the normalised residual, tap added.

    Args:
      kind: which of them.
      x: [B, T, D], or [B, T, N, D] where each of the N heads reads a residual of its own.
      layer: this layer's weights.
      taps: this layer's taps, or None.
    """
    projected = jnp.einsum("btd,dnk->btnk" if x.ndim == 3 else "btnd,dnk->btnk", x, layer[kind])
    if taps is not None:
        projected = projected + getattr(taps, kind)
    if f"{kind}_bias" in layer:
        projected = projected + layer[f"{kind}_bias"][None, None]
    return projected


def write(heads: jax.Array, layer: Mapping[str, jax.Array], each_head: bool = False) -> jax.Array:
    """What heads [B, T, H, K] add to the residual stream [B, T, D], or each head apart [H, B, T, D]; linear."""
    return jnp.einsum("bthk,hkd->hbtd" if each_head else "bthk,hkd->btd", heads, layer["output"])


def attend(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    query_positions: jax.Array,
    key_positions: jax.Array,
    key_mask: jax.Array,
    window: jax.Array | None,
    scale: float,
    propagation: Propagation = GRADIENT,
) -> jax.Array:
    """Softmax attention of each query over the keys at or before its position.

    Probabilities are recomputed in the backward pass instead of kept, and long inputs are taken in blocks of queries.
    Query head h reads key/value head h // (H / G). A query that sees no key (padding) gets a finite, unused value.

    Args:
      query: [B, T, H, K].
      key, value: [B, S, G, K].
      query_positions: [B, T] int32.
      key_positions: [B, S] int32.
      key_mask: [B, S] bool, False for keys that are padding.
      window: int32 scalar, how many positions a query sees, its own included; None for all.
      scale: multiplies the dot products.
      propagation: rules of the backward pass.

    Returns:
      [B, T, H, K] in query's dtype.
    """
    batch, length, heads, width = query.shape
    chex.assert_equal_shape((key, value))
    chex.assert_shape(query_positions, (batch, length))
    chex.assert_shape((key_positions, key_mask), key.shape[:2])
    kv_heads = key.shape[2]

    @jax.checkpoint
    def attend_block(query: jax.Array, query_positions: jax.Array) -> jax.Array:
        grouped = query.reshape(batch, -1, kv_heads, heads // kv_heads, width)
        products = jnp.einsum("btgrk,bsgk->bgrts", grouped, key, preferred_element_type=jnp.float32) * scale
        distance = query_positions[:, :, None] - key_positions[:, None, :]
        visible = (distance >= 0) & key_mask[:, None, :]
        if window is not None:
            visible &= distance < window
        # Added, not selected: the backward pass would keep a select's predicate for every head, query and key.
        hidden = jnp.where(visible, 0.0, 0.5 * jnp.finfo(jnp.float32).min)
        products = products + hidden[:, None, None]
        probabilities = constant_if(propagation.constant_attention, jax.nn.softmax(products, axis=-1))
        return jnp.einsum("bgrts,bsgk->btgrk", probabilities.astype(value.dtype), value).reshape(query.shape)

    if length <= QUERY_BLOCK:
        return attend_block(query, query_positions)
    padding = -length % QUERY_BLOCK
    query = jnp.pad(query, ((0, 0), (0, padding), (0, 0), (0, 0)))
    query_positions = jnp.pad(query_positions, ((0, 0), (0, padding)))
    query_blocks = query.reshape(batch, -1, QUERY_BLOCK, heads, width).swapaxes(0, 1)
    position_blocks = query_positions.reshape(batch, -1, QUERY_BLOCK).swapaxes(0, 1)
    blocks = jax.lax.map(lambda block: attend_block(*block), (query_blocks, position_blocks))
    return blocks.swapaxes(0, 1).reshape(batch, -1, heads, width)[:, :length]
