"""The edge score: one dot product for each pair of nodes, summed over an example's positions chunk by chunk."""

from __future__ import annotations

import functools
import math
from typing import get_args

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.graph import DestinationKind, EdgeGraph, SourceKind
from jaxeap.attribution.interventions import Deltas
from jaxeap.attribution.node_order import kind_by_kind, layer_groups, nodes_of_kind
from jaxeap.attribution.part import Part
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.models.propagation import GRADIENT, Propagation
from jaxeap.parallel.sharding import constrain

CHUNK_BYTES = 16 * 2**20
"""Default budget for both sides of one chunk: large enough for full-speed matrix products, small beside the trace."""


def automatic_chunk(
    graph: EdgeGraph, config: ModelConfig, length: int, budget: int = CHUNK_BYTES, slices: int = 1
) -> int:
    """Positions a chunk, at least one: as many as `budget` bytes hold of both sides in float32, in even chunks.

    With the residual width cut into `slices`, as many as fit on a device.

    A number that divides the length is taken if one is at least half as large: the last chunk then overlaps none.
    """
    position = 4 * (len(graph.sources) + len(graph.destinations)) * config.embed_dim // slices
    largest = max(1, min(length, budget // position))
    even = math.ceil(length / math.ceil(length / largest))
    return next((chunk for chunk in range(largest, largest // 2, -1) if length % chunk == 0), even)


def edge_dot(delta: jax.Array, gradient: jax.Array) -> jax.Array:
    """Sum over t and d of delta[t, d] * gradient[t, d]: one edge's score, float32."""
    return jnp.vdot(delta, gradient, precision=jax.lax.Precision.HIGHEST)


edge_dots = jax.vmap(jax.vmap(edge_dot, in_axes=(None, 0)), in_axes=(0, None))
"""[S, T, D] and [J, T, D] -> [S, J]. XLA makes one matrix product of it."""


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

    Both sides are expanded for `chunk` positions of one example at a time, so memory beyond the compact arrays grows
    neither with T nor with B, and every array is laid out as the matrix products read it. On a mesh every device does
    that for its own examples and its own slice of the residual width, and one sum over devices completes the scores.

    Args:
      weights: the decoder's weights.
      config: its shape.
      graph: names the rows and columns.
      deltas: (ablated value) - (value) of every source.
      destinations: gradients at every destination; exactly zero at padding, which therefore adds nothing.
      chunk: positions a chunk.
      propagation: rules of the backward pass that made the gradients.

    Returns:
      [B, S, J] float32, zero where there is no edge; of a batch that is cut over a mesh, cut likewise.
    """
    batch, length, _ = deltas.clean.embedding.shape
    groups = layer_groups(graph)
    part = Part.of(config, batch)

    def score_example(weights: Weights, deltas: Deltas, destinations: Destinations, index: jax.Array) -> jax.Array:
        own_deltas, own_destinations = deltas.example(index), destinations.example(index)

        def add_chunk(scores: list[jax.Array], start: jax.Array) -> tuple[list[jax.Array], None]:
            # The last chunk may reach back into the one before: positions counted there are blanked here.
            begin = jnp.minimum(start, length - chunk)
            fresh = begin + jnp.arange(chunk, dtype=jnp.int32) >= start
            left = own_deltas.at(begin, chunk).by_kind(weights, config, graph.level, part)
            right = own_destinations.at(begin, chunk).by_kind(weights, config, graph.level, propagation, part)
            if length % chunk:
                left = jax.tree.map(lambda delta: jnp.where(fresh[None, :, None], delta, 0.0), left)
            parts = [_group_dots(graph, group, left, right) for group in groups]
            return [score + part for score, part in zip(scores, parts, strict=True)], None

        zeros = [jnp.zeros((len(graph.sources), width), jnp.float32) for width in map(len, columns)]
        parts, _ = jax.lax.scan(add_chunk, part.own(zeros), jnp.arange(0, length, chunk, dtype=jnp.int32))
        return jnp.concatenate(parts, axis=1)

    def score_examples(weights: Weights, deltas: Deltas, destinations: Destinations) -> jax.Array:
        examples = jnp.arange(deltas.clean.embedding.shape[0], dtype=jnp.int32)
        sums = jax.lax.map(functools.partial(score_example, weights, deltas, destinations), examples)
        return part.complete(sums)

    columns = [kind_by_kind(graph.destination_nodes, get_args(DestinationKind), group) for group in groups]
    rows = kind_by_kind(graph.source_nodes, get_args(SourceKind), range(-1, groups[-1].stop))
    by_kind = part.run(
        score_examples,
        weights,
        config,
        (deltas, deltas.arrays(part.spec)),
        (destinations, destinations.arrays(part.spec)),
    )
    in_order = by_kind[:, np.argsort(rows)][:, :, np.argsort(np.concatenate(columns))]
    scores = constrain(jnp.where(graph.mask[None], in_order, 0.0), "scores")
    chex.assert_shape(scores, (batch, len(graph.sources), len(graph.destinations)))
    return scores


def _group_dots(
    graph: EdgeGraph,
    group: range,
    deltas: dict[SourceKind, jax.Array],
    gradients: dict[DestinationKind, jax.Array],
) -> jax.Array:
    """[S, destinations of the group], both kind by kind; 0 for sources that are written after the group."""
    rows = []
    for kind in get_args(SourceKind):
        written = nodes_of_kind(graph.source_nodes, kind, range(-1, group.stop))
        row = []
        for reader in get_args(DestinationKind):
            read = nodes_of_kind(graph.destination_nodes, reader, group)
            if read.start < read.stop:
                row.append(edge_dots(deltas[kind][written], gradients[reader][read]))
        missing = deltas[kind].shape[0] - written.stop
        rows.append(jnp.pad(jnp.concatenate(row, axis=1), ((0, missing), (0, 0))))
    return jnp.concatenate(rows)
