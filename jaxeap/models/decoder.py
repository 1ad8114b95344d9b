"""The forward pass: one block, the scan over blocks, and the unembedding, as plain functions of the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.models.attention import attend, divide_by_post_norm, project, write
from jaxeap.models.config import ModelConfig
from jaxeap.models.mlp import gated_mlp
from jaxeap.models.norm import norm
from jaxeap.models.parameters import Weights, constrain_layers
from jaxeap.models.propagation import GRADIENT, Propagation
from jaxeap.models.rope import RopeConfig, rotate, rotations
from jaxeap.models.routed_mlp import routed_mlp
from jaxeap.models.taps import Captures, LayerCaptures, LayerOverrides, LayerTaps, Taps
from jaxeap.parallel.sharding import constrain

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
    rotation: tuple[jax.Array, jax.Array] | None,
    mix: Mix,
    propagation: Propagation = GRADIENT,
) -> tuple[jax.Array, Any]:
    """Outputs [B, T, H, K] of a layer's heads, as `write` adds them to the residual stream, and what `mix` kept.

    The arguments are those of `block`, but that queries, keys and values may read different residuals.
    """
    normed = jax.tree.map(lambda x: norm(x, layer, "attention_norm", config, propagation), reads)
    for_query, for_key, for_value = normed if isinstance(normed, tuple) else (normed, normed, normed)
    query = project("query", for_query, layer, taps, config, propagation)
    key = project("key", for_key, layer, taps, config, propagation)
    if rotation is not None:
        query, key = rotate(query, *rotation), rotate(key, *rotation)
    heads, kept = mix(query, key, project("value", for_value, layer, taps, config, propagation))
    return divide_by_post_norm(heads, layer, config, propagation), kept


def feed_forward(
    x: jax.Array, layer: Mapping[str, jax.Array], config: ModelConfig, propagation: Propagation = GRADIENT
) -> jax.Array:
    """What a layer's feed-forward part adds to the residual stream [B, T, D] that it reads."""
    normed = norm(x, layer, "mlp_norm", config, propagation)
    if config.num_experts:
        written = routed_mlp(normed, layer, config, propagation)
    else:
        written = gated_mlp(normed, layer, config.activation, propagation)
    return norm(written, layer, "mlp_post_norm", config, propagation)


def block(
    x: jax.Array,
    layer: Mapping[str, jax.Array],
    taps: LayerTaps | None,
    config: ModelConfig,
    rotation: tuple[jax.Array, jax.Array] | None,
    mix: Mix,
    overrides: LayerOverrides | None = None,
    propagation: Propagation = GRADIENT,
) -> tuple[jax.Array, LayerCaptures, Any]:
    """One layer: attention and then, or beside it, the feed-forward layer, each with norms before or after it.

    Args:
      x: residual stream [B, T, D].
      layer: this layer's weights.
      taps: this layer's taps (no layer axis), or None.
      config: the decoder's shape.
      rotation: cosines and sines of `rotations`; None where `mix` turns queries and keys itself.
      mix: how head outputs come from queries, keys and values.
      overrides: this layer's overrides, or None.
      propagation: rules of the backward pass.

    Returns:
      The residual stream after the layer; this layer's captures; what `mix` kept.
    """
    x = constrain(x, "residual")
    heads, kept = attention_heads(x, layer, taps, config, rotation, mix, propagation)
    heads = constrain(heads, "heads")
    bias = layer.get("output_bias")
    if overrides is not None:
        heads = jnp.where(overrides.attention, overrides.heads, heads)
        if bias is not None and overrides.output_bias is not None:
            bias = jnp.where(overrides.attention, overrides.output_bias, bias)
    written = write(heads, layer, config)
    attention = written if bias is None else written + bias[None, None]
    middle = x + attention
    mlp_input = x if config.parallel_blocks else middle
    # Only the feed-forward branch sees the tap: the bypass carries on untouched, as an edge patch demands.
    mlp_input = mlp_input if taps is None else mlp_input + constrain(taps.mlp, "residual")
    mlp = feed_forward(mlp_input, layer, config, propagation)
    if overrides is not None:
        mlp = jnp.where(overrides.feed_forward, overrides.mlp, mlp)
    mlp = constrain(mlp, "residual")
    captures = LayerCaptures(
        heads=heads,
        attention=attention,
        mlp=mlp,
        attention_input=x,
        mlp_input=mlp_input,
        output_bias=layer.get("output_bias"),
    )
    return constrain(middle + mlp, "residual"), captures, kept


class LayerKind(NamedTuple):
    """What differs between layers that differ in their rotary embedding; stacked over layers, or one layer's.

    Attributes:
      window: [L] int32 or scalar, the sliding window, or None where no layer has one.
      rope: [L] int32 or scalar, index into `distinct_ropes`.
    """

    window: jax.Array | None
    rope: jax.Array


Window = jax.Array | LayerKind | None
"""What attention is told of one layer, an entry of `layer_windows`."""


def distinct_ropes(config: ModelConfig) -> list[RopeConfig | None]:
    """The rotary embeddings that occur in `config.layer_ropes`."""
    return list(dict.fromkeys(config.layer_ropes))


def layer_windows(config: ModelConfig) -> Window:
    """Sliding window of each layer, [L] int32, or None where no layer has one; with RoPE's kind if that differs."""
    windows = None
    if any(window is not None for window in config.windows):
        unlimited = np.iinfo(np.int32).max
        windows = jnp.array([unlimited if window is None else window for window in config.windows], jnp.int32)
    if not config.layer_ropes:
        return windows
    ropes = distinct_ropes(config)
    return LayerKind(windows, jnp.array([ropes.index(rope) for rope in config.layer_ropes], jnp.int32))


def turning(
    config: ModelConfig, positions: jax.Array
) -> tuple[tuple[jax.Array, jax.Array] | None, Callable[[Window, Mix], Mix]]:
    """Rotary embedding at positions [B, T]: the rotation of all layers, or None and what makes a layer's mix rotate.

    Returns:
      The rotation, if layers do not differ in it; turned(window, mix) -> mix of the layer.
    """
    if not config.layer_ropes:
        rotation = None if config.rope is None else rotations(config.rope, config.head_dim, positions)
        return rotation, lambda window, mix: mix
    each = [rotations(rope, config.head_dim, positions) for rope in distinct_ropes(config)]
    cosines, sines = (jnp.stack(parts) for parts in zip(*each, strict=True))

    def turned(window: Window, mix: Mix) -> Mix:
        assert isinstance(window, LayerKind)
        rotation = cosines[window.rope], sines[window.rope]
        return lambda query, key, value: mix(rotate(query, *rotation), rotate(key, *rotation), value)

    return None, turned


def window_of(window: Window) -> jax.Array | None:
    """How many positions a query of the layer sees, or None for all."""
    return window.window if isinstance(window, LayerKind) else window


def positions_of(mask: jax.Array) -> jax.Array:
    """Position of each token among the real ones, [B, T] int32, from mask [B, T] bool; padding takes a neighbour's."""
    return jnp.maximum(jnp.cumsum(mask, axis=-1, dtype=jnp.int32) - 1, 0)


def embed(weights: Weights, config: ModelConfig, tokens: jax.Array) -> jax.Array:
    """Output of the source `embed`, [B, T, D], for tokens [B, T]: scaled rows of the embedding."""
    rows = _rows(weights["embedding"], tokens)
    return rows if config.embedding_scale == 1.0 else rows * jnp.asarray(config.embedding_scale, rows.dtype)


def position_embedding(weights: Weights, positions: jax.Array) -> jax.Array | None:
    """Rows of the table of position embeddings at positions [B, T], [B, T, D]; None where there is no table."""
    if "positions" not in weights:
        return None
    return _rows(weights["positions"], positions)


def _rows(table: jax.Array, places: jax.Array) -> jax.Array:
    """Rows of a table [N, D] at places [B, T]: [B, T, D]; each device gives those that it holds."""
    rows = jnp.take(table, constrain(places, "tokens"), axis=0)
    return constrain(constrain(rows, "read"), "residual")


def mixing(
    config: ModelConfig, mask: jax.Array, propagation: Propagation = GRADIENT
) -> tuple[tuple[jax.Array, jax.Array] | None, Callable[[Window], Mix]]:
    """For a forward pass without a cache, mask [B, T] bool: the rotation (None where layers differ in it, and their mix
    does it), and the `Mix` (keeps None) of a layer by its entry of `layer_windows`."""
    positions = positions_of(mask)
    rotation, turned = turning(config, positions)

    def mix_within(window: Window) -> Mix:
        def mix(query: jax.Array, key: jax.Array, value: jax.Array) -> tuple[jax.Array, None]:
            heads = attend(
                query,
                key,
                value,
                positions,
                positions,
                mask,
                window_of(window),
                config.query_scale,
                propagation,
                config.attention_softcap,
            )
            return heads, None

        return turned(window, mix)

    return rotation, mix_within


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
        window: Window,
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
    layers = constrain_layers(weights, config)
    layered = (layers, layer_windows(config), None if taps is None else taps.layers, overrides)
    if config.learned_positions and mask.shape[1] > config.learned_positions:
        raise ValueError(f"{mask.shape[1]} tokens were given, the model has {config.learned_positions} positions")
    positions = position_embedding(weights, positions_of(mask))
    start = embedding if positions is None else embedding + positions
    x, captured = jax.lax.scan(lambda x, here: step(x, *here), start, layered)
    final = x if taps is None else x + constrain(taps.final, "residual")
    return final, Captures(embedding=embedding, layers=captured, final=final).laid_out()


def unembed(weights: Weights, config: ModelConfig, final: jax.Array, propagation: Propagation = GRADIENT) -> jax.Array:
    """Logits [..., V] float32 of the last residual stream `final` [..., D]."""
    normed = norm(final, weights, "final_norm", config, propagation)
    normed = constrain(normed, "read") if normed.ndim == 3 else normed
    if config.tied_embeddings:
        scores = jnp.einsum("...d,vd->...v", normed, weights["embedding"], preferred_element_type=jnp.float32)
    else:
        scores = jnp.einsum("...d,dv->...v", normed, weights["unembedding"], preferred_element_type=jnp.float32)
    scores = constrain(scores, "logits") if scores.ndim == 3 else scores
    cap = config.logit_softcap
    return scores if cap is None else cap * jnp.tanh(scores / cap)


def logits(weights: Weights, config: ModelConfig, tokens: jax.Array, mask: jax.Array) -> jax.Array:
    """Logits [B, T, V] float32 for tokens [B, T] int32 with mask [B, T] bool; not traced for taps or captures."""
    final, _ = run_layers(weights, config, embed(weights, config, tokens), mask)
    return unembed(weights, config, final)
