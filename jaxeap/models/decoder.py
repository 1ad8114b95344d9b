"""The forward pass: one block, the scan over blocks, and the unembedding, as plain functions of the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.models.attention import attend, project, write
from jaxeap.models.config import ModelConfig
from jaxeap.models.mlp import gated_mlp
from jaxeap.models.norm import rms_norm
from jaxeap.models.parameters import Weights
from jaxeap.models.propagation import GRADIENT, Propagation
from jaxeap.models.rope import rotate, rotations
from jaxeap.models.taps import Captures, LayerCaptures, LayerOverrides, LayerTaps, Taps

Mix = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, Any]]
"""(queries, keys, values) -> (head outputs [B, T, H, K], whatever the mixing keeps, such as an updated cache)."""

Reads = jax.Array | tuple[jax.Array, jax.Array, jax.Array]
"""What attention reads of the residual stream: [B, T, D] for all heads, or residuals of their own for queries, keys and
values, each [B, T, D] or, where each of N heads has its own, [B, T, N, D]."""


def attention_heads(
    reads: Reads,
    layer: Mapping[str, jax.Array],
    taps: LayerTaps | None,
    config: ModelConfig,
    rotation: tuple[jax.Array, jax.Array],
    mix: Mix,
    propagation: Propagation = GRADIENT,
) -> tuple[jax.Array, Any]:
    """Outputs [B, T, H, K] of a layer's heads, as `write` adds them to the residual stream, and what `mix` kept.

    The arguments are those of `block`, but that queries, keys and values may read different residuals.
    """
    normed = jax.tree.map(lambda x: rms_norm(x, layer["attention_norm"], config.norm_epsilon, propagation), reads)
    for_query, for_key, for_value = normed if isinstance(normed, tuple) else (normed, normed, normed)
    query = rotate(project("query", for_query, layer, taps), *rotation)
    key = rotate(project("key", for_key, layer, taps), *rotation)
    return mix(query, key, project("value", for_value, layer, taps))


def feed_forward(
    x: jax.Array, layer: Mapping[str, jax.Array], config: ModelConfig, propagation: Propagation = GRADIENT
) -> jax.Array:
    """What a layer's feed-forward part adds to the residual stream [B, T, D] that it reads."""
    normed = rms_norm(x, layer["mlp_norm"], config.norm_epsilon, propagation)
    return gated_mlp(normed, layer, config.activation, propagation)


def block(
    x: jax.Array,
    layer: Mapping[str, jax.Array],
    taps: LayerTaps | None,
    config: ModelConfig,
    rotation: tuple[jax.Array, jax.Array],
    mix: Mix,
    overrides: LayerOverrides | None = None,
    propagation: Propagation = GRADIENT,
) -> tuple[jax.Array, LayerCaptures, Any]:
    """One layer: attention, then the feed-forward layer, each reading a normed copy of the residual stream.

    Args:
      x: residual stream [B, T, D].
      layer: this layer's weights.
      taps: this layer's taps (no layer axis), or None.
      config: the decoder's shape.
      rotation: cosines and sines of `rotations`.
      mix: how head outputs come from queries, keys and values.
      overrides: this layer's overrides, or None.
      propagation: rules of the backward pass.

    Returns:
      The residual stream after the layer; this layer's captures; what `mix` kept.
    """
    heads, kept = attention_heads(x, layer, taps, config, rotation, mix, propagation)
    if overrides is not None:
        heads = jnp.where(overrides.attention, overrides.heads, heads)
    middle = x + write(heads, layer)
    # Only the feed-forward branch sees the tap: the bypass carries on untouched, as an edge patch demands.
    mlp_input = middle if taps is None else middle + taps.mlp
    mlp = feed_forward(mlp_input, layer, config, propagation)
    if overrides is not None:
        mlp = jnp.where(overrides.feed_forward, overrides.mlp, mlp)
    captures = LayerCaptures(heads=heads, mlp=mlp, attention_input=x, mlp_input=mlp_input)
    return middle + mlp, captures, kept


def layer_windows(config: ModelConfig) -> jax.Array | None:
    """Sliding window of each layer, [L] int32, or None where no layer has one."""
    if all(window is None for window in config.windows):
        return None
    unlimited = np.iinfo(np.int32).max
    return jnp.array([unlimited if window is None else window for window in config.windows], jnp.int32)


def positions_of(mask: jax.Array) -> jax.Array:
    """Position of each token among the real ones, [B, T] int32, from mask [B, T] bool; padding takes a neighbour's."""
    return jnp.maximum(jnp.cumsum(mask, axis=-1, dtype=jnp.int32) - 1, 0)


def embed(weights: Weights, tokens: jax.Array) -> jax.Array:
    """Rows of the embedding, [B, T, D], for tokens [B, T]."""
    return jnp.take(weights["embedding"], tokens, axis=0)


def mixing(
    config: ModelConfig, mask: jax.Array, propagation: Propagation = GRADIENT
) -> tuple[tuple[jax.Array, jax.Array], Callable[[jax.Array | None], Mix]]:
    """For a forward pass without a cache, mask [B, T] bool: the rotation, and each window's `Mix` (keeps None)."""
    positions = positions_of(mask)

    def mix_within(window: jax.Array | None) -> Mix:
        def mix(query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[jax.Array, None]:
            scale = config.head_dim**-0.5
            return attend(query, key, value, positions, positions, mask, window, scale, propagation), None

        return mix

    return rotations(config.rope, config.head_dim, positions), mix_within


LayerStep = Callable[..., tuple[jax.Array, LayerCaptures]]


def layer_step(config: ModelConfig, mask: jax.Array, propagation: Propagation = GRADIENT) -> LayerStep:
    """One layer of a forward pass without a cache, as a function of the residual stream.

    Args:
      config: the decoder's shape.
      mask: [B, T] bool, True for real tokens.
      propagation: rules of the backward pass.

    Returns:
      step(x, layer, window, taps=None, overrides=None) -> (x, captures): the layer's weights, its window (an entry of
      `layer_windows`, or None), its taps and overrides.
    """
    rotation, mix_within = mixing(config, mask, propagation)

    def step(
        x: jax.Array,
        layer: Mapping[str, jax.Array],
        window: jax.Array | None,
        taps: LayerTaps | None = None,
        overrides: LayerOverrides | None = None,
    ) -> tuple[jax.Array, LayerCaptures]:
        x, captures, _ = block(x, layer, taps, config, rotation, mix_within(window), overrides, propagation)
        return x, captures

    return step


def run_layers(
    weights: Weights,
    config: ModelConfig,
    embedding: jax.Array,
    mask: jax.Array,
    taps: Taps | None = None,
    overrides: LayerOverrides | None = None,
    propagation: Propagation = GRADIENT,
) -> tuple[jax.Array, Captures]:
    """Runs all layers on embedded tokens.

    Args:
      weights: tree of `parameter_specs(config)`.
      config: the decoder's shape.
      embedding: [B, T, D], the output of the source `embed`.
      mask: [B, T] bool, True for real tokens.
      taps: added at the destinations, or None.
      overrides: outputs held at given values, or None.
      propagation: rules of the backward pass.

    Returns:
      The residual stream that the unembedding reads, [B, T, D], before the final norm, and the captures. What the
      caller does not use of the captures, XLA does not keep.
    """
    chex.assert_shape(embedding, (*mask.shape, config.embed_dim))
    step = layer_step(config, mask, propagation)
    layered = (weights["layers"], layer_windows(config), None if taps is None else taps.layers, overrides)
    x, captured = jax.lax.scan(lambda x, here: step(x, *here), embedding, layered)
    final = x if taps is None else x + taps.final
    return final, Captures(embedding=embedding, layers=captured, final=final)


def unembed(weights: Weights, config: ModelConfig, final: jax.Array, propagation: Propagation = GRADIENT) -> jax.Array:
    """Logits [..., V] float32 of the last residual stream `final` [..., D]."""
    normed = rms_norm(final, weights["final_norm"], config.norm_epsilon, propagation)
    if config.tied_embeddings:
        return jnp.einsum("...d,vd->...v", normed, weights["embedding"], preferred_element_type=jnp.float32)
    return jnp.einsum("...d,dv->...v", normed, weights["unembedding"], preferred_element_type=jnp.float32)


def logits(weights: Weights, config: ModelConfig, tokens: jax.Array, mask: jax.Array) -> jax.Array:
    """Logits [B, T, V] float32 for tokens [B, T] int32 with mask [B, T] bool; not traced for taps or captures."""
    final, _ = run_layers(weights, config, embed(weights, tokens), mask)
    return unembed(weights, config, final)
