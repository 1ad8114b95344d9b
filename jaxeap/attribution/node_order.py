"""Nodes kind by kind, as they are computed without copies, and in the graph's order, as scores name them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxeap.attribution.graph import Destination, EdgeGraph, Source

GROUPED_FROM = 512
"""Destinations from which the product is cut by layers. Cutting copies both sides, which few nodes do not pay back."""

LAYER_GROUPS = 4
"""Into how many groups of layers, so that most of the half that is no edge is left out."""


def layer_by_layer(kinds: Sequence[jax.Array]) -> jax.Array:
    """Interleaves kinds of nodes, each [L * nodes, T, D] layer by layer: [L * (nodes of all kinds), T, D].

    The last kind has one node a layer.
    """
    num_layers, length, width = kinds[-1].shape
    layers = [nodes.reshape(num_layers, -1, length, width) for nodes in kinds]
    return jnp.concatenate(layers, axis=1).reshape(-1, length, width)


def layer_groups(graph: EdgeGraph) -> list[range]:
    """Ranges of destinations' layers, the last with the logits, whose scores are computed by products of their own.

    Destinations of a group read no source that is written after the group's last layer, so the product with the
    sources beyond is left out: with n groups (n + 1) / 2n of the whole matrix is computed.
    """
    num_layers = graph.destination_nodes[-1].layer
    groups = LAYER_GROUPS if len(graph.destinations) >= GROUPED_FROM else 1
    edges = sorted({round(num_layers * group / groups) for group in range(groups)})
    return [range(first, last) for first, last in itertools.pairwise([*edges, num_layers + 1])]


def nodes_of_kind(nodes: Sequence[Source | Destination], kind: str, layers: range) -> slice:
    """Which of the kind's own nodes, counted layer by layer, lie in the layers."""
    own = [node.layer for node in nodes if node.kind == kind]
    return slice(sum(layer < layers.start for layer in own), sum(layer < layers.stop for layer in own))


def kind_by_kind(nodes: Sequence[Source | Destination], kinds: Sequence[str], layers: range) -> list[int]:
    """Places in the graph's order of the nodes in the layers, kind by kind."""
    return [at for kind in kinds for at, node in enumerate(nodes) if node.kind == kind and node.layer in layers]
