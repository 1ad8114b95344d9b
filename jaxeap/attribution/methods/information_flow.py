"""Information flow routes: how near each source is to the residual stream that a destination reads. Forward only."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from typing import Literal, get_args

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.loss import loss_and_gradient_norm
from jaxeap.attribution.part import WHOLE, Part
from jaxeap.attribution.positions import predicting_position_weights, real_position_weights
from jaxeap.attribution.settings import Settings
from jaxeap.attribution.sources import Sources
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.parameters import Weights
from jaxeap.models.taps import Captures
from jaxeap.parallel.sharding import constrain

Positions = Literal["real", "predicting"]

READ_GROUPS = 4
"""Into how many groups the read points are cut; one is compared with no source that its whole group cannot see."""


@dataclasses.dataclass(frozen=True)
class InformationFlowOptions:
    """Options of `information_flow`.

    Attributes:
      positions: over which of an example's positions importance is averaged: "real" (all of them, prompt included) or
        "predicting" (those that predict a counted token, from which the paper's routes are traced).
    """

    positions: Positions = "real"

    def __post_init__(self) -> None:
        if self.positions not in get_args(Positions):
            raise ValueError(f"positions={self.positions!r} is unknown; use one of {', '.join(get_args(Positions))}")


@functools.partial(jax.jit, static_argnames=("config", "options"))
def information_flow(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    reference: Sources | None,
    settings: Settings,
    options: InformationFlowOptions,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """score[s, j] = mean over positions of source s's share in the residual x that destination j reads.

    At each position

        proximity(u_s, x) = max(||x||_1 - ||x - u_s||_1, 0),   share = proximity / sum of proximities over j's sources

    (Ferrando and Voita 2024, arXiv 2403.00824, after ALTI, arXiv 2203.04212). The paper measures an attention block's
    parts against the stream right after it and traces routes down from one prediction; here, as in EAP-IG's version
    of the method, every edge of the graph is measured at what its destination reads, and shares are averaged over an
    example's positions.

    Scores are at least 0. A column sums to 1, less the share of positions at which no source is near what is read
    (large outputs that cancel can bring that about). The queries, keys and values of a layer read the same stream, so
    their columns are equal. Nothing is ablated and the loss does not enter: the scores say what is in the stream, not
    what the model makes of it.

    One forward pass and, beside it, S * (2L + 1) * T * D subtractions, less almost half by the order of the layers;
    sources are expanded for about `settings.chunk` positions at a time, counted over all examples.

    Returns:
      Scores [B, S, J], losses [B] and gradient norms [B], all float32.

    Raises:
      ValueError: an ablation other than "zero", which is what no choice of ablation stands for.
    """
    if settings.ablation != "zero":
        raise ValueError(
            f"method 'information_flow' replaces nothing, so ablation {settings.ablation!r} has no meaning for it; "
            "leave ablation at 'zero'"
        )
    final, captures = run_layers(
        weights, config, embed(weights, config, jnp.asarray(batch.tokens)), jnp.asarray(batch.mask)
    )
    loss, norm = loss_and_gradient_norm(weights, config, final, batch)
    of_positions = real_position_weights if options.positions == "real" else predicting_position_weights
    return shares_of_sources(weights, settings, config, captures, of_positions(batch)), loss, norm


def shares_at(sources: jax.Array, residual: jax.Array, written: jax.Array, part: Part = WHOLE) -> jax.Array:
    """Each source's share in a residual, position by position.

    Args:
      sources: [B, S, T, D].
      residual: [B, T, D], in which only sources that are `written` are contained.
      written: [S] bool.
      part: of the width D, what this device has.

    Returns:
      [B, S, T], summing to 1 over sources, or all 0 where no source is near the residual.
    """
    # ||x|| - ||x - u|| is summed channel by channel: small sources would drown in the rounding of two large norms.
    whole = residual[:, None]
    proximity = jnp.maximum(part.complete(jnp.sum(jnp.abs(whole) - jnp.abs(whole - sources), axis=-1)), 0.0)
    proximity = jnp.where(written[None, :, None], proximity, 0.0)
    total = jnp.sum(proximity, axis=1, keepdims=True)
    return proximity / jnp.where(total > 0, total, 1.0)


def shares_of_sources(
    weights: Weights, settings: Settings, config: ModelConfig, captures: Captures, position_weights: jax.Array
) -> jax.Array:
    """Weighted mean over positions [B, T] of every source's share in what every destination reads: [B, S, J]."""
    sources = Sources.of(captures)
    reads, read_of_column = _reads(captures, settings.graph(config))
    part = Part.of(config, position_weights.shape[0])
    scores = part.run(
        functools.partial(_shares_on_device, config, settings, part, read_of_column),
        weights,
        config,
        (sources, sources.arrays(part.spec)),
        (reads, part.spec(reads, "residual")),
        (position_weights, part.spec(position_weights, "tokens")),
    )
    return constrain(scores, "scores")


def _shares_on_device(
    config: ModelConfig,
    settings: Settings,
    part: Part,
    read_of_column: list[int],
    weights: Weights,
    sources: Sources,
    reads: jax.Array,
    position_weights: jax.Array,
) -> jax.Array:
    """[B, S, J] of a device's examples, from its slice of the width of sources and of reads [R, B, T, D]."""
    graph = settings.graph(config)
    batch, length = position_weights.shape
    chunk = max(1, settings.chunk // batch)  # The setting is for one example, and all are expanded side by side here.
    written = np.stack([graph.mask[:, read_of_column.index(read)] for read in range(len(reads))])
    bounds = _group_bounds(written)

    def add_chunk(sums: tuple[jax.Array, ...], start: jax.Array) -> tuple[tuple[jax.Array, ...], None]:
        # The last chunk may reach back into the one before: positions counted there weigh nothing here.
        begin = jnp.minimum(start, length - chunk)
        fresh = begin + jnp.arange(chunk, dtype=jnp.int32) >= start
        weight = jax.lax.dynamic_slice_in_dim(position_weights, begin, chunk, axis=1)
        weight = jnp.where(fresh[None], weight, 0.0)
        expanded = sources.at(begin, chunk).expand(weights, config, graph.level, part)
        residuals = jax.lax.dynamic_slice_in_dim(reads, begin, chunk, axis=2).astype(jnp.float32)

        def summed(upto: int, read: tuple[jax.Array, jax.Array]) -> jax.Array:
            residual, seen = read
            shares = shares_at(expanded[:, :upto], residual, seen, part)
            return jnp.sum(jnp.where(weight[:, None] > 0, weight[:, None] * shares, 0.0), axis=2)

        # One read point at a time: only their compact sums are ever held together.
        parts = [
            jax.lax.map(
                functools.partial(summed, upto), (residuals[first:last], jnp.asarray(written[first:last, :upto]))
            )
            for upto, first, last in bounds
        ]
        return tuple(total + part for total, part in zip(sums, parts, strict=True)), None

    zeros = tuple(jnp.zeros((last - first, batch, upto), jnp.float32) for upto, first, last in bounds)
    sums, _ = jax.lax.scan(add_chunk, part.own(zeros, of_width=False), jnp.arange(0, length, chunk, dtype=jnp.int32))
    by_read = [jnp.pad(part, ((0, 0), (0, 0), (0, len(graph.sources) - part.shape[2]))) for part in sums]
    scores = jnp.moveaxis(jnp.concatenate(by_read)[np.array(read_of_column)], 0, 2)
    chex.assert_shape(scores, (batch, len(graph.sources), len(graph.destinations)))
    return scores


def _reads(captures: Captures, graph: EdgeGraph) -> tuple[jax.Array, list[int]]:
    """The residuals that are read, [2L + 1, B, T, D] from first to last, and which of them each destination reads."""
    layers = captures.layers
    in_layers = jnp.stack([layers.attention_input, layers.mlp_input], axis=1)
    reads = jnp.concatenate([in_layers.reshape(-1, *in_layers.shape[2:]), captures.final[None]])
    return reads, [2 * node.layer + (node.kind == "mlp") for node in graph.destination_nodes]


def _group_bounds(written: np.ndarray) -> list[tuple[int, int, int]]:
    """(sources up to, first read point, end of read points) for each group, from [reads, S] bool."""
    edges = sorted({round(len(written) * group / READ_GROUPS) for group in range(READ_GROUPS + 1)})
    return [
        (int(np.flatnonzero(written[first:last].any(axis=0))[-1]) + 1, first, last)
        for first, last in itertools.pairwise(edges)
    ]
