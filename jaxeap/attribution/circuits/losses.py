"""Losses of many circuits on one batch: jitted once, vmapped over as many circuits as memory holds."""

from __future__ import annotations

import functools
import sys

import jax
import numpy as np
from rich.progress import track

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits.forward import circuit_residual
from jaxeap.attribution.circuits.metric import METRICS, Metric
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.sources import Sources
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.parallel.mesh import entered, mesh_of_arrays
from jaxeap.parallel.sharding import replicated

RUN_BYTES = 256 * 2**20
"""Budget for the activations of the circuits that run side by side."""

MOST_SIDE_BY_SIDE = 16


def circuit_losses(
    weights: Weights,
    config: ModelConfig,
    graph: EdgeGraph,
    batch: Batch,
    ablated: Sources,
    circuits: np.ndarray,
    metric: Metric = "loss",
    clean_final: jax.Array | None = None,
    side_by_side: int | None = None,
) -> np.ndarray:
    """Each example's loss in each circuit.

    A circuit that occurs more than once is run once: equal circuits give equal numbers, bit for bit. Cost of a circuit:
    about one forward pass at block level and two at head level, where each head's reads have to be added up.

    Args:
      weights: the decoder's weights.
      config: its shape.
      graph: of the circuits.
      batch: what is run.
      ablated: every source's ablated value, as of `ablated_sources`.
      circuits: [C, S, J] bool.
      metric: what is computed of the circuits' predictions.
      clean_final: [B, T, D], the full model's last residual stream, for metric "divergence".
      side_by_side: circuits that run at once; None takes as many as fit into 256 MiB, at most 16.

    Returns:
      [C, B] float32.

    Raises:
      ValueError: circuits of another shape, or no `clean_final` where the metric compares with it.
    """
    if circuits.ndim != 3 or circuits.shape[1:] != graph.mask.shape:
        raise ValueError(f"circuits must be [C, {', '.join(map(str, graph.mask.shape))}], got {circuits.shape}")
    if metric == "divergence" and clean_final is None:
        raise ValueError("metric 'divergence' compares with the full model and needs clean_final")
    bits = np.packbits(circuits.reshape(len(circuits), -1), axis=1)
    _, first, inverse = np.unique(bits, axis=0, return_index=True, return_inverse=True)
    # A power of two, so that few different programs are compiled whatever the number of circuits.
    most = 1 << (len(first) - 1).bit_length()
    side_by_side = side_by_side or min(most, _automatic_side_by_side(graph, config, batch))
    starts = range(0, len(first), side_by_side)
    losses = []
    for start in track(starts, "running circuits", disable=not sys.stderr.isatty() or len(starts) < 2, transient=True):
        block = circuits[np.resize(first[start : start + side_by_side], side_by_side)]
        with entered(mesh_of_arrays(weights)):
            found = _run(weights, config, graph.level, batch, ablated, block, metric, clean_final)
        losses.append(np.asarray(found))
    return np.concatenate(losses)[inverse.reshape(-1)]


@functools.partial(jax.jit, static_argnames=("config", "level", "metric"))
def _run(
    weights: Weights,
    config: ModelConfig,
    level: Level,
    batch: Batch,
    ablated: Sources,
    circuits: jax.Array,
    metric: Metric,
    clean_final: jax.Array | None,
) -> jax.Array:
    """[C, S, J] -> [C, B]."""

    def run(circuit: jax.Array) -> jax.Array:
        final = circuit_residual(weights, config, level, batch, ablated, circuit).astype(ablated.embedding.dtype)
        return METRICS[metric](weights, config, final, batch, clean_final)

    return replicated(jax.vmap(run)(circuits))


def _automatic_side_by_side(graph: EdgeGraph, config: ModelConfig, batch: Batch) -> int:
    """Circuits whose runs fit into `RUN_BYTES`, counting what is kept and a layer's widest activations in float32."""
    size, length = batch.tokens.shape
    heads, kv_heads = (config.num_heads, config.num_kv_heads) if graph.level == "head" else (1, 1)
    kept = config.num_layers * (config.embed_dim + config.num_heads * config.head_dim)
    read = 3 * (2 * heads + 2 * kv_heads + 2) * config.embed_dim
    widths = kept + read + 3 * config.mlp_dim + config.num_heads * (2 * config.head_dim + min(length, 512))
    run = 4 * (size * length * widths + batch.targets.size * config.vocab_size)
    return max(1, min(MOST_SIDE_BY_SIDE, RUN_BYTES // run))
