"""The forward pass of a circuit: every destination reads its circuit edges from the run itself, all else ablated."""

from __future__ import annotations

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import Level
from jaxeap.attribution.sources import Sources
from jaxeap.models.attention import write
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import (
    attention_heads,
    embed,
    feed_forward,
    layer_windows,
    mixing,
    position_embedding,
    positions_of,
)
from jaxeap.models.parameters import Weights


class _Written(NamedTuple):
    """Deltas u_s - a_s of the layers' sources, in compact form; zero where nothing is written yet.

    Attributes:
      attention: [L, B, T, H, K] at head level, before the output projection; [L, B, T, D] at block level.
      mlp: [L, B, T, D].
    """

    attention: jax.Array
    mlp: jax.Array


def circuit_residual(
    weights: Weights, config: ModelConfig, level: Level, batch: Batch, ablated: Sources, circuit: jax.Array
) -> jax.Array:
    """The residual stream that the logits read in a circuit.

    Destination j reads

        x_j = sum over s before j of c[s, j] u_s + (1 - c[s, j]) a_s
            = sum over s before j of a_s  +  sum over s before j of c[s, j] (u_s - a_s),

    with u_s what source s writes in this very run and a_s its ablated value. Sources are kept in compact form and
    added to a layer's reads one earlier layer at a time, so memory grows as (L + H) * T * D and not with S * T * D, and
    pairs that are no edges cost nothing.

    Args:
      weights: the decoder's weights.
      config: its shape.
      level: of the graph.
      batch: what is run.
      ablated: every source's ablated value.
      circuit: [S, J] bool.

    Returns:
      [B, T, D] float32, before the final norm.
    """
    own_heads = level == "head"
    queries, keys = (config.num_heads, config.num_kv_heads) if own_heads else (1, 1)
    num_layers, sources_a_layer = config.num_layers, queries + 1
    embedding = embed(weights, config, jnp.asarray(batch.tokens))
    embed_delta = (embedding - ablated.embedding)[None]
    rotation, mix_within = mixing(config, jnp.asarray(batch.mask))

    def as_written(attention: jax.Array, layer: Weights) -> jax.Array:
        """A layer's `_Written.attention` as it stands in the residual stream, [N, B, T, D]."""
        return write(attention, layer, config, each_head=True) if own_heads else attention[None]

    def read(edges: jax.Array, ablated_sum: jax.Array, written: _Written, layers_before: jax.Array) -> jax.Array:
        """What the destinations of edges [S, N] read, [N, B, T, D], of the embedding and the first layers."""
        by_layer = edges[1:].reshape(num_layers, sources_a_layer, -1)

        def add_layer(index: jax.Array, total: jax.Array) -> jax.Array:
            layer, here = jax.tree.map(lambda stacked: stacked[index], (weights["layers"], written))
            deltas = jnp.concatenate([as_written(here.attention, layer), here.mlp[None]])
            return total + _weighed(by_layer[index], deltas)

        return jax.lax.fori_loop(0, layers_before, add_layer, ablated_sum[None] + _weighed(edges[:1], embed_delta))

    def run_layer(carry: tuple[jax.Array, _Written], here: tuple[Any, ...]) -> tuple[tuple[jax.Array, _Written], None]:
        ablated_sum, written = carry
        index, layer, window, ablated_heads, ablated_mlp, ablated_bias, edges = here
        residuals = read(edges, ablated_sum, written, index)
        of_attention = jnp.moveaxis(residuals[:-1], 0, 2).astype(embedding.dtype)
        for_query, for_key, for_value = jnp.split(of_attention, [queries, queries + keys], axis=2)
        if not own_heads:
            for_query, for_key, for_value = for_query[:, :, 0], for_key[:, :, 0], for_value[:, :, 0]
        reads = (for_query, for_key, for_value)
        heads, _ = attention_heads(reads, layer, None, config, rotation, mix_within(window))
        attention = heads - ablated_heads if own_heads else write(heads - ablated_heads, layer, config)
        # At head level the output bias is nobody's and always there, at block level it is ablated with its layer.
        constant = layer.get("output_bias") if own_heads else ablated_bias
        if constant is not None and not own_heads:
            attention = attention + (layer["output_bias"] - constant)[None, None]

        ablated_attention = write(ablated_heads, layer, config).astype(jnp.float32)
        if constant is not None:
            ablated_attention = ablated_attention + constant.astype(jnp.float32)[None, None]
        own_edges = jax.lax.dynamic_slice_in_dim(edges[:, -1:], 1 + index * sources_a_layer, queries)
        mlp_read = residuals[-1]
        if not config.parallel_blocks:
            mlp_read = mlp_read + ablated_attention + _weighed(own_edges, as_written(attention, layer))[0]
        mlp = feed_forward(mlp_read.astype(embedding.dtype), layer, config) - ablated_mlp

        written = _Written(written.attention.at[index].set(attention), written.mlp.at[index].set(mlp))
        return (ablated_sum + ablated_attention + ablated_mlp.astype(jnp.float32), written), None

    per_layer = circuit[:, :-1].astype(jnp.float32).reshape(-1, num_layers, queries + 2 * keys + 1)
    chex.assert_shape(per_layer, (1 + num_layers * sources_a_layer, num_layers, None))
    positions = position_embedding(weights, positions_of(jnp.asarray(batch.mask)))
    always = ablated.embedding if positions is None else ablated.embedding + positions
    start = (
        always.astype(jnp.float32),
        _Written(jnp.zeros_like(ablated.heads if own_heads else ablated.mlp), jnp.zeros_like(ablated.mlp)),
    )
    here = (
        jnp.arange(num_layers, dtype=jnp.int32),
        weights["layers"],
        layer_windows(config),
        ablated.heads,
        ablated.mlp,
        ablated.output_bias,
        jnp.moveaxis(per_layer, 1, 0),
    )
    (ablated_sum, written), _ = jax.lax.scan(run_layer, start, here)
    return read(circuit[:, -1:].astype(jnp.float32), ablated_sum, written, jnp.int32(num_layers))[0]


def _weighed(edges: jax.Array, deltas: jax.Array) -> jax.Array:
    """Sum over sources of edges [S', N] times deltas [S', B, T, D]: [N, B, T, D] float32."""
    precision = jax.lax.Precision.HIGHEST
    return jnp.einsum("sn,sbtd->nbtd", edges, deltas.astype(jnp.float32), precision=precision)
