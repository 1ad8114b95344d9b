"""Integrated gradients along each node's own activation."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.contraction import contract
from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.interventions import Deltas, ablated_sources
from jaxeap.attribution.loss import loss_and_gradient_norm
from jaxeap.attribution.methods.path import PathOptions, between, quadrature
from jaxeap.attribution.settings import Settings
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import run_trace
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.parameters import Weights
from jaxeap.models.taps import LayerOverrides


@functools.partial(jax.jit, static_argnames=("config", "options"))
def eap_ig_activations(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    reference: Sources | None,
    settings: Settings,
    options: PathOptions,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """score[s, j] = <delta_s, mean of g_j over runs that hold one node's output between its ablated and clean value>.

    The nodes are the embedding, each layer's attention (all its heads jointly) and each feed-forward layer: 2L + 1,
    each held in turn while every edge collects its gradient, as in the EAP-IG code (Hanna et al. 2024). Nothing flows
    back through a held output. That code takes the points of rule "right" (1/n, .. 1: the clean end, never the ablated
    one). Cost: (2L + 1) * steps traces and contractions.

    Returns:
      Scores [B, S, J], and losses [B] and gradient norms [B] of the clean run, all float32.
    """
    embedding = embed(weights, config, jnp.asarray(batch.tokens))
    mask = jnp.asarray(batch.mask)
    final, captures = run_layers(weights, config, embedding, mask)
    clean = Sources.of(captures)
    ablated = ablated_sources(weights, config, batch, clean, settings.ablation, reference, settings.seed)
    deltas = Deltas.of(clean, ablated, settings.ablation)
    graph = settings.graph(config)
    nodes = 1 + 2 * config.num_layers

    def add_run(scores: jax.Array, run: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        node, share, weight = run
        held = jax.tree.map(functools.partial(between, share=share), ablated, clean)
        layers = jnp.arange(config.num_layers)
        overrides = LayerOverrides(
            attention=node == 2 * layers + 1,
            heads=held.heads,
            feed_forward=node == 2 * layers + 2,
            mlp=held.mlp,
            output_bias=held.output_bias if settings.level == "block" else None,
        )
        at_embedding = jnp.where(node == 0, held.embedding, embedding)
        trace = run_trace(weights, config, batch, embedding=at_embedding, overrides=overrides, level=settings.level)
        return scores + weight * contract(weights, config, graph, deltas, Destinations.of(trace), settings.chunk), None

    points, point_weights = quadrature(options.steps, options.rule)
    runs = (
        jnp.repeat(jnp.arange(nodes), len(points)),
        jnp.tile(jnp.array(points), nodes),
        jnp.tile(jnp.array(point_weights) / nodes, nodes),
    )
    scores, _ = jax.lax.scan(add_run, jnp.zeros((batch.size, *graph.mask.shape), jnp.float32), runs)
    return scores, *loss_and_gradient_norm(weights, config, final, batch)
