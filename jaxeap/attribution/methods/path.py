"""Straight paths from the ablated to the clean value, and the rules that integrate along them."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.contraction import contract
from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.interventions import Deltas, ablated_sources
from jaxeap.attribution.loss import loss_and_gradient_norm
from jaxeap.attribution.settings import Settings
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import run_trace
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.parameters import Weights

Rule = Literal["midpoint", "left", "right", "trapezoid"]


@dataclasses.dataclass(frozen=True)
class PathOptions:
    """How the path integral is approximated.

    Attributes:
      steps: how many equal pieces the path is cut into.
      rule: where in each piece the gradient is taken: "midpoint"; "left" (the ablated end: points 0, 1/n, .. (n-1)/n,
        as EAP-IG takes them); "right" (the clean end); "trapezoid" (both ends, half each; steps + 1 points).
    """

    steps: int = 5
    rule: Rule = "midpoint"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.rule not in get_args(Rule):
            raise ValueError(f"rule {self.rule!r} is unknown; use one of {', '.join(get_args(Rule))}")


def quadrature(steps: int, rule: Rule) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Points (0 is the ablated end of the path, 1 the clean one) and their weights, which add up to 1."""
    if rule == "trapezoid":
        points = [k / steps for k in range(steps + 1)]
        return tuple(points), tuple((0.5 if k in (0, steps) else 1.0) / steps for k in range(steps + 1))
    offset = {"midpoint": 0.5, "left": 0.0, "right": 1.0}[rule]
    return tuple((k + offset) / steps for k in range(steps)), (1 / steps,) * steps


def between(ablated: jax.Array, clean: jax.Array, share: jax.Array) -> jax.Array:
    """(1 - share) ablated + share clean: exactly the one or the other at the path's ends."""
    share = share.astype(clean.dtype)
    return (1 - share) * ablated + share * clean


def embedding_path_scores(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    reference: Sources | None,
    settings: Settings,
    points: tuple[float, ...],
    point_weights: tuple[float, ...],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """sum over points p of w_p <delta_s, g_j at the input ablated + p (clean - ablated)>; the clean losses and norms.

    Every point has its own residuals, so the gradients are pulled back through the norms and contracted point by
    point; only scores are summed. One trace is held at a time.
    """
    embedding = embed(weights, config, jnp.asarray(batch.tokens))
    mask = jnp.asarray(batch.mask)
    final, captures = run_layers(weights, config, embedding, mask)
    clean = Sources.of(captures)
    ablated = ablated_sources(weights, config, batch, clean, settings.ablation, reference, settings.seed)
    deltas = Deltas.of(clean, ablated, settings.ablation)
    graph = settings.graph(config)

    def add_point(scores: jax.Array, point: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        share, weight = point
        along = between(ablated.embedding, embedding, share)
        trace = run_trace(weights, config, batch, embedding=along, level=settings.level)
        return scores + weight * contract(weights, config, graph, deltas, Destinations.of(trace), settings.chunk), None

    zeros = jnp.zeros((batch.size, *graph.mask.shape), jnp.float32)
    scores, _ = jax.lax.scan(add_point, zeros, (jnp.array(points), jnp.array(point_weights)))
    return scores, *loss_and_gradient_norm(weights, config, final, batch)
