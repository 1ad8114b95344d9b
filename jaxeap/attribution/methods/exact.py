"""Exact patching of single edges, through the same taps whose gradients EAP takes."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Sequence
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import track

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import DestinationKind, EdgeGraph, Level, SourceKind
from jaxeap.attribution.interventions import ablated_sources
from jaxeap.attribution.loss import counted_loss, loss_and_gradient_norm
from jaxeap.attribution.settings import Settings
from jaxeap.attribution.sources import Sources
from jaxeap.models.attention import output_projection
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, layer_step, layer_windows, run_layers
from jaxeap.models.norm import norm
from jaxeap.models.parameters import Weights
from jaxeap.models.taps import LayerTaps
from jaxeap.parallel.sharding import replicated

RUN_BYTES = 64 * 2**20
"""Budget for the activations of the patched runs that go side by side."""

SOURCE_KINDS: tuple[SourceKind, ...] = get_args(SourceKind)
DESTINATION_KINDS: tuple[DestinationKind, ...] = get_args(DestinationKind)


@dataclasses.dataclass(frozen=True)
class ExactOptions:
    """Which edges are patched.

    Attributes:
      edges: (source, destination) indices; None takes every edge of the graph. Edges that are not patched score NaN.
      side_by_side: how many edges are patched in one run; None takes as many as fit into 64 MiB of activations.
    """

    edges: Sequence[tuple[int, int]] | np.ndarray | None = None
    side_by_side: int | None = None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class EdgeNodes:
    """Both ends of E edges as numbers, [E] int32 each: indices into the kinds above, layer and head."""

    source_kind: np.ndarray
    source_layer: np.ndarray
    source_head: np.ndarray
    destination_kind: np.ndarray
    destination_head: np.ndarray


def exact(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    reference: Sources | None,
    settings: Settings,
    options: ExactOptions,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """score[s, j] = loss with destination j alone reading source s's ablated value, minus the clean loss.

    What EAP is the derivative of. Everything downstream of j is recomputed; runs start at j's layer, where the
    residual stream is still the clean one. Cost: half a forward pass for each edge.

    Returns:
      Scores [B, S, J] (NaN for edges that were not asked for), and losses [B] and gradient norms [B] of the clean run,
      all float32.

    Raises:
      ValueError: a pair of `options.edges` is no edge.
    """
    graph = settings.graph(config)
    edges = np.argwhere(graph.mask) if options.edges is None else np.asarray(options.edges, np.int64).reshape(-1, 2)
    if not len(edges):
        raise ValueError("no edges to patch")
    for row, column in edges:
        inside = 0 <= row < len(graph.sources) and 0 <= column < len(graph.destinations)
        if not inside or not graph.mask[row, column]:
            raise ValueError(f"({row}, {column}) is no edge of the {graph.level}-level graph")
    inputs, deltas, final, clean_loss, norm = _clean_run(weights, config, batch, reference, settings)
    clean = np.asarray(_everywhere(clean_loss))
    scores = np.where(graph.mask, np.nan, 0.0).astype(np.float32)[None].repeat(batch.size, axis=0)
    side_by_side = options.side_by_side or _automatic_side_by_side(config, batch)
    groups = _groups_by_layer(graph, edges, side_by_side)
    for layer, group in track(groups, "patching edges", disable=not sys.stderr.isatty(), transient=True):
        nodes = _nodes(graph, group, side_by_side)
        patched = (
            _patch_logits(weights, config, batch, deltas, final, nodes, settings.level)
            if layer == config.num_layers
            else _patch_layer(weights, config, batch, deltas, inputs, jnp.int32(layer), nodes, settings.level)
        )
        effects = np.asarray(patched) - clean
        for (row, column), effect in zip(group, effects, strict=False):
            scores[:, row, column] = effect
    # Not `device_put`, which would compare what the hosts have, and no NaN is equal to itself.
    placed = jax.make_array_from_callback(scores.shape, clean_loss.sharding, lambda index: scores[index])
    return placed, clean_loss, norm


def _automatic_side_by_side(config: ModelConfig, batch: Batch) -> int:
    """Edges whose runs fit into `RUN_BYTES`, counting a layer's widest activations in float32."""
    size, length = batch.tokens.shape
    widths = 6 * config.embed_dim + 3 * config.mlp_dim + config.num_heads * (2 * config.head_dim + min(length, 512))
    return max(1, RUN_BYTES // (4 * size * length * widths + 4 * batch.targets.size * config.vocab_size))


def _groups_by_layer(graph: EdgeGraph, edges: np.ndarray, size: int) -> list[tuple[int, np.ndarray]]:
    """The edges cut into (layer, at most `size` edges into that layer); layer L is the logits."""
    layers = np.array([graph.destination_nodes[column].layer for column in edges[:, 1]])
    return [
        (int(layer), into[start : start + size])
        for layer in np.unique(layers)
        for into in [edges[layers == layer]]
        for start in range(0, len(into), size)
    ]


def _nodes(graph: EdgeGraph, edges: np.ndarray, size: int) -> EdgeNodes:
    """The edges' nodes as numbers, filled up to `size` with the first edge, so that every run has one shape."""
    filled = np.concatenate([edges, edges[:1].repeat(size - len(edges), axis=0)])
    sources = [graph.source_nodes[row] for row in filled[:, 0]]
    destinations = [graph.destination_nodes[column] for column in filled[:, 1]]
    return EdgeNodes(
        source_kind=np.array([SOURCE_KINDS.index(node.kind) for node in sources], np.int32),
        source_layer=np.array([max(node.layer, 0) for node in sources], np.int32),
        source_head=np.array([node.head for node in sources], np.int32),
        destination_kind=np.array([DESTINATION_KINDS.index(node.kind) for node in destinations], np.int32),
        destination_head=np.array([node.head for node in destinations], np.int32),
    )


@functools.partial(jax.jit, static_argnames="config")
def _clean_run(
    weights: Weights, config: ModelConfig, batch: Batch, reference: Sources | None, settings: Settings
) -> tuple[jax.Array, Sources, jax.Array, jax.Array, jax.Array]:
    """Residual stream before each layer [L, B, T, D], deltas of all sources, final residual, losses, gradient norms."""
    final, captures = run_layers(
        weights, config, embed(weights, config, jnp.asarray(batch.tokens)), jnp.asarray(batch.mask)
    )
    clean = Sources.of(captures)
    ablated = ablated_sources(weights, config, batch, clean, settings.ablation, reference, settings.seed)
    loss, norm = loss_and_gradient_norm(weights, config, final, batch)
    return captures.layers.attention_input, jax.tree.map(_difference, ablated, clean), final, loss, norm


def _difference(ablated: jax.Array, clean: jax.Array) -> jax.Array:
    """In float32: the difference of two near bfloat16 numbers would have lost its digits."""
    return ablated.astype(jnp.float32) - clean.astype(jnp.float32)


def _source_delta(weights: Weights, config: ModelConfig, deltas: Sources, edge: EdgeNodes, level: Level) -> jax.Array:
    """delta_s of one edge's source as it stands in the residual stream, [B, T, D]."""
    if level == "block":
        attention = deltas.attention[edge.source_layer]
    else:
        heads = deltas.heads[edge.source_layer]
        chosen = jax.nn.one_hot(edge.source_head, heads.shape[2], dtype=heads.dtype)
        layer = jax.tree.map(lambda stacked: stacked[edge.source_layer], weights["layers"])
        projection = output_projection(layer, config).astype(jnp.float32)
        attention = jnp.einsum("bthk,hkd->btd", heads * chosen[None, None, :, None], projection)
    kinds = (deltas.embedding, attention, deltas.mlp[edge.source_layer])
    return jax.lax.select_n(edge.source_kind, *kinds).astype(weights["embedding"].dtype)


@functools.partial(jax.jit, static_argnames=("config", "level"))
def _patch_layer(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    deltas: Sources,
    inputs: jax.Array,
    layer: jax.Array,
    nodes: EdgeNodes,
    level: Level,
) -> jax.Array:
    """Losses [E, B] with each edge into `layer` patched alone: tap_j = W_j(norm(x + delta_s) - norm(x))."""
    step = layer_step(config, jnp.asarray(batch.mask))
    windows = layer_windows(config)

    def run(index: jax.Array, x: jax.Array, taps: LayerTaps | None = None) -> jax.Array:
        here = jax.tree.map(lambda stacked: stacked[index], weights["layers"])
        return step(x, here, jax.tree.map(lambda stacked: stacked[index], windows), taps)[0]

    def patched(edge: EdgeNodes) -> jax.Array:
        x, delta = inputs[layer], _source_delta(weights, config, deltas, edge, level)
        here = jax.tree.map(lambda stacked: stacked[layer], weights["layers"])
        moved = norm(x + delta, here, "attention_norm", config) - norm(x, here, "attention_norm", config)

        def tap(kind: DestinationKind, projection: jax.Array) -> jax.Array:
            pushed = jnp.einsum("btd,dnk->btnk", moved, projection)
            chosen = (edge.destination_kind == DESTINATION_KINDS.index(kind)).astype(pushed.dtype)
            if level == "head":
                return (
                    pushed
                    * chosen
                    * jax.nn.one_hot(edge.destination_head, pushed.shape[2], dtype=pushed.dtype).reshape(1, 1, -1, 1)
                )
            return pushed * chosen

        into_mlp = (edge.destination_kind == DESTINATION_KINDS.index("mlp")).astype(delta.dtype)
        taps = LayerTaps(
            query=tap("query", here["query"]),
            key=tap("key", here["key"]),
            value=tap("value", here["value"]),
            mlp=delta * into_mlp,
        )
        x = jax.lax.fori_loop(layer + 1, config.num_layers, run, run(layer, x, taps))
        return counted_loss(weights, config, x, batch)

    return replicated(jax.vmap(patched)(nodes))


@functools.partial(jax.jit, static_argnames=("config", "level"))
def _patch_logits(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    deltas: Sources,
    final: jax.Array,
    nodes: EdgeNodes,
    level: Level,
) -> jax.Array:
    """Losses [E, B] with each edge into the logits patched alone; nothing but the unembedding is recomputed."""
    return replicated(
        jax.vmap(
            lambda edge: counted_loss(
                weights, config, final + _source_delta(weights, config, deltas, edge, level), batch
            )
        )(nodes)
    )


_everywhere = jax.jit(replicated)
