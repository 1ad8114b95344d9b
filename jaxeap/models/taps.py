"""Taps, where the decoder can be pushed, and captures, what it shows: both compact, one array per kind of node."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxeap.models.config import ModelConfig
from jaxeap.parallel.sharding import constrain


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LayerTaps:
    """Arrays added inside the layers. Stacked over layers as [L, ...]; inside the scan each layer sees its own.

    Attributes:
      query: [L, B, T, H, K], added to the queries straight after projection (before bias, q/k-norm and RoPE); or
        [L, B, T, D], added to the normalised residual that all query heads read.
      key: [L, B, T, G, K] or [L, B, T, D], added to the keys, or to what they read, likewise.
      value: [L, B, T, G, K] or [L, B, T, D], added to the values, or to what they read, likewise.
      mlp: [L, B, T, D], added to the residual that the feed-forward layer reads, before its norm.
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    mlp: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Taps:
    """What is added at every destination: zero leaves the decoder as it is, and its gradient is the destination's.

    Attributes:
      layers: taps of the attention and feed-forward layers.
      final: [B, T, D], added to the residual that the unembedding reads, before the final norm.
    """

    layers: LayerTaps
    final: jax.Array

    def laid_out(self) -> Taps:
        """The same, laid out over the mesh that is entered."""

        def read(tap: jax.Array, kind: str) -> jax.Array:
            return constrain(tap, "residual" if tap.ndim == 4 else kind)

        layers = LayerTaps(
            query=read(self.layers.query, "heads"),
            key=read(self.layers.key, "kv_heads"),
            value=read(self.layers.value, "kv_heads"),
            mlp=constrain(self.layers.mlp, "residual"),
        )
        return Taps(layers, constrain(self.final, "residual"))

    @classmethod
    def zeros(
        cls, config: ModelConfig, batch: int, length: int, dtype: Any = jnp.float32, *, each_head: bool = True
    ) -> Taps:
        """Taps that change nothing, for [batch, length] tokens; at each head, or where all heads of a kind read."""
        layered = (config.num_layers, batch, length)
        queries = (*layered, config.num_heads, config.head_dim) if each_head else (*layered, config.embed_dim)
        keys = (*layered, config.num_kv_heads, config.head_dim) if each_head else (*layered, config.embed_dim)
        return cls(
            layers=LayerTaps(
                query=jnp.zeros(queries, dtype),
                key=jnp.zeros(keys, dtype),
                value=jnp.zeros(keys, dtype),
                mlp=jnp.zeros((*layered, config.embed_dim), dtype),
            ),
            final=jnp.zeros((batch, length, config.embed_dim), dtype),
        )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LayerOverrides:
    """Outputs of whole attention or feed-forward layers held at given values; nothing flows back through them.

    Stacked over layers as [L, ...]; inside the scan each layer sees its own.

    Attributes:
      attention: [L] bool, which layers' heads are replaced.
      heads: [L, B, T, H, K], by what.
      feed_forward: [L] bool, which layers' feed-forward output is replaced.
      mlp: [L, B, T, D], by what.
      output_bias: [L, D], by what the bias of replaced attention layers is; None leaves it.
    """

    attention: jax.Array
    heads: jax.Array
    feed_forward: jax.Array
    mlp: jax.Array
    output_bias: jax.Array | None = None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LayerCaptures:
    """What the layers leave for attribution, in the model's dtype, stacked over layers.

    Attributes:
      heads: [L, B, T, H, K], each head's output before the output projection (divided by the denominator of the norm
        after attention, if any: see `divide_by_post_norm`); source `a{l}.h{i}` is that projected.
      attention: [L, B, T, D], output of the source `a{l}` at block level as it is added to the residual stream: all
        heads and the output bias.
      mlp: [L, B, T, D], output of the source `m{l}` likewise.
      attention_input: [L, B, T, D], the residual that the queries, keys and values read, before the norm.
      mlp_input: [L, B, T, D], the residual that the feed-forward layer reads, before the norm.
      output_bias: [L, D], what attention adds beside its heads, or None where it has no such bias.
    """

    heads: jax.Array
    attention: jax.Array
    mlp: jax.Array
    attention_input: jax.Array
    mlp_input: jax.Array
    output_bias: jax.Array | None = None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Captures:
    """What a forward pass leaves for attribution.

    Attributes:
      embedding: [B, T, D], output of the source `embed`.
      layers: captures of the layers.
      final: [B, T, D], the residual that the unembedding reads, before the final norm.
    """

    embedding: jax.Array
    layers: LayerCaptures
    final: jax.Array

    def laid_out(self) -> Captures:
        """The same, laid out over the mesh that is entered."""
        layers = dataclasses.replace(
            self.layers,
            heads=constrain(self.layers.heads, "heads"),
            attention=constrain(self.layers.attention, "residual"),
            mlp=constrain(self.layers.mlp, "residual"),
            attention_input=constrain(self.layers.attention_input, "residual"),
            mlp_input=constrain(self.layers.mlp_input, "residual"),
        )
        return Captures(constrain(self.embedding, "residual"), layers, constrain(self.final, "residual"))
