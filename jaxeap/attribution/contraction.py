"""The edge score: one dot product for each pair of nodes, summed over an example's positions chunk by chunk."""

from __future__ import annotations

import itertools
import math

import chex
import jax
import jax.numpy as jnp

from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.interventions import Deltas
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.models.propagation import GRADIENT, Propagation

CHUNK_BYTES = 16 * 2**20
"""Default budget for both sides of one chunk: large enough for full-speed matrix products, small beside the trace."""

LAYER_GROUPS = 4
"""Into how many groups of layers the matrix is cut so that the half that is no edge is mostly left out."""


def automatic_chunk(graph: EdgeGraph, config: ModelConfig, batch: int, length: int, budget: int = CHUNK_BYTES) -> int:
    """Positions a chunk, at least one: as many as `budget` bytes hold of both sides in float32, in even chunks."""
    position = 4 * batch * (len(graph.sources) + len(graph.destinations)) * config.embed_dim
    largest = max(1, min(length, budget // position))
    return math.ceil(length / math.ceil(length / largest))


def edge_dot(delta: jax.Array, gradient: jax.Array) -> jax.Array:
    """Sum over t and d of delta[t, d] * gradient[t, d]: one edge's score, float32."""
    return jnp.vdot(delta, gradient, precision=jax.lax.Precision.HIGHEST)


edge_dots = jax.vmap(jax.vmap(jax.vmap(edge_dot, in_axes=(None, 0)), in_axes=(0, None)))
"""[B, S, T, D] and [B, J, T, D] -> [B, S, J]. XLA makes one batched matrix product of it."""


def layer_group_bounds(graph: EdgeGraph, groups: int = LAYER_GROUPS) -> list[tuple[int, int, int]]:
    """(sources up to, first destination, end of destinations) for each group of layers.

    Destinations of a group read no source that is written after the group's last layer, so the product with the
    sources beyond is left out: with n groups (n + 1) / 2n of the whole matrix is computed.
    """
    num_layers = graph.destination_nodes[-1].layer
    edges = sorted({round(num_layers * group / groups) for group in range(groups + 1)})
    bounds = []
    for first, last in itertools.pairwise(edges):
        last_of_all = last == num_layers
        begin = next(j for j, node in enumerate(graph.destination_nodes) if node.layer == first)
        end = next(j for j, node in enumerate(graph.destination_nodes) if node.layer == last) + last_of_all
        upto = next((s for s, node in enumerate(graph.source_nodes) if node.layer == last), len(graph.sources))
        bounds.append((upto, begin, end))
    return bounds


def contract(
    weights: Weights,
    config: ModelConfig,
    graph: EdgeGraph,
    deltas: Deltas,
    destinations: Destinations,
    chunk: int,
    propagation: Propagation = GRADIENT,
) -> jax.Array:
    """Scores of all edges: score[b, s, j] = sum over t, d of delta_s[b, t, d] * g_j[b, t, d].

    Both sides are expanded for `chunk` positions at a time, so memory beyond the compact arrays does not grow with T.

    Args:
      weights: the decoder's weights.
      config: its shape.
      graph: names the rows and columns.
      deltas: (ablated value) - (value) of every source.
      destinations: gradients at every destination; exactly zero at padding, which therefore adds nothing.
      chunk: positions a chunk.
      propagation: rules of the backward pass that made the gradients.

    Returns:
      [B, S, J] float32, zero where there is no edge.
    """
    batch, length, _ = deltas.clean.embedding.shape
    bounds = layer_group_bounds(graph)

    def add_chunk(scores: tuple[jax.Array, ...], start: jax.Array) -> tuple[tuple[jax.Array, ...], None]:
        # The last chunk may reach back into the one before: positions counted there are blanked here.
        begin = jnp.minimum(start, length - chunk)
        fresh = begin + jnp.arange(chunk, dtype=jnp.int32) >= start
        left = deltas.at(begin, chunk).expand(weights, config, graph.level)
        right = destinations.at(begin, chunk).expand(weights, config, graph.level, propagation)
        if length % chunk:
            left = jnp.where(fresh[None, None, :, None], left, 0.0)
        parts = [edge_dots(left[:, :upto], right[:, first:last]) for upto, first, last in bounds]
        return tuple(score + part for score, part in zip(scores, parts, strict=True)), None

    zeros = tuple(jnp.zeros((batch, upto, last - first), jnp.float32) for upto, first, last in bounds)
    starts = jnp.arange(0, length, chunk, dtype=jnp.int32)
    parts, _ = jax.lax.scan(add_chunk, zeros, starts)
    columns = [jnp.pad(part, ((0, 0), (0, len(graph.sources) - part.shape[1]), (0, 0))) for part in parts]
    scores = jnp.where(graph.mask[None], jnp.concatenate(columns, axis=2), 0.0)
    chex.assert_shape(scores, (batch, len(graph.sources), len(graph.destinations)))
    return scores
