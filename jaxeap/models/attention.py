"""Grouped-query causal attention, with or without a sliding window, in memory linear in the number of keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import chex
import jax
import jax.numpy as jnp

from jaxeap.models.config import ModelConfig
from jaxeap.models.norm import inverse_root, norm, norm_scale
from jaxeap.models.propagation import GRADIENT, Propagation, constant_if
from jaxeap.models.taps import LayerTaps
from jaxeap.parallel.sharding import constrain

QUERY_BLOCK = 512
"""Queries attended at once: attention probabilities take B * H * QUERY_BLOCK * S floats, never T * S."""


def project(
    kind: Literal["query", "key", "value"],
    x: jax.Array,
    layer: Mapping[str, jax.Array],
    taps: LayerTaps | None,
    config: ModelConfig,
    propagation: Propagation = GRADIENT,
) -> jax.Array:
    """Queries [B, T, H, K], or keys or values [B, T, G, K], of the normalised residual: tap, bias and q/k-norm applied.

    Args:
      kind: which of them.
      x: [B, T, D], or [B, T, N, D] where each of the N heads reads a residual of its own.
      layer: this layer's weights.
      taps: this layer's taps, or None.
      config: the decoder's shape.
      propagation: rules of the backward pass.
    """
    at_reader = taps is not None and getattr(taps, kind).ndim == 3
    if taps is not None and at_reader:
        x = x + constrain(getattr(taps, kind), "residual")
    heads, reads = ("heads", "reads") if kind == "query" else ("kv_heads", "kv_reads")
    x = constrain(x, "read" if x.ndim == 3 else reads)
    projected = jnp.einsum("btd,dnk->btnk" if x.ndim == 3 else "btnd,dnk->btnk", x, layer[kind])
    projected = constrain(projected, heads)
    if taps is not None and not at_reader:
        projected = projected + constrain(getattr(taps, kind), heads)
    if f"{kind}_bias" in layer:
        projected = projected + layer[f"{kind}_bias"][None, None]
    return norm(projected, layer, f"{kind}_norm", config, propagation)


def divide_by_post_norm(
    heads: jax.Array, layer: Mapping[str, jax.Array], config: ModelConfig, propagation: Propagation = GRADIENT
) -> jax.Array:
    """Heads [B, T, H, K] divided by the denominator of the norm after attention, if there is one.

    The norm's denominator is one number for all heads of a position. With it divided out here, what heads add to the
    residual stream is linear in them, and each head's part of it is its own.
    """
    if "attention_post_norm" not in layer:
        return heads
    projected = constrain(jnp.einsum("bthk,hkd->btd", heads, layer["output"]), "residual")
    divisor = inverse_root(projected, config.norm_epsilon, propagation)
    return (heads.astype(jnp.float32) * divisor[..., None]).astype(heads.dtype)


def output_projection(layer: Mapping[str, jax.Array], config: ModelConfig) -> jax.Array:
    """[..., H, K, D] from heads, after `divide_by_post_norm`, to the residual stream; for a layer, or layers stacked.

    The output projection, times the scale of the norm after attention if there is one (then in float32).
    """
    if "attention_post_norm" not in layer:
        return layer["output"]
    scale = norm_scale(layer["attention_post_norm"], config.norm)[..., None, None, :]
    return layer["output"].astype(jnp.float32) * scale.astype(jnp.float32)


def write(heads: jax.Array, layer: Mapping[str, jax.Array], config: ModelConfig, each_head: bool = False) -> jax.Array:
    """What heads [B, T, H, K] add to the residual stream [B, T, D], or each head apart [H, B, T, D]; linear."""
    projection = output_projection(layer, config).astype(layer["output"].dtype)
    if each_head:
        return jnp.einsum("bthk,hkd->hbtd", heads, projection)
    return constrain(jnp.einsum("bthk,hkd->btd", heads, projection), "residual")


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
    softcap: float | None = None,
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
      softcap: bounds the scaled products to softcap * tanh(product / softcap), or None.

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
        if softcap is not None:
            products = softcap * jnp.tanh(products / softcap)
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
