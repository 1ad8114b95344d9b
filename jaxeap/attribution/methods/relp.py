"""Relevance patching: EAP with the rules of layer-wise relevance propagation in place of the gradient."""

from __future__ import annotations

import dataclasses
import functools

import jax

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.contraction import contract
from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.interventions import Deltas, ablated_sources
from jaxeap.attribution.loss import loss_and_gradient_norm
from jaxeap.attribution.settings import Settings
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import run_trace
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.models.propagation import Propagation


@dataclasses.dataclass(frozen=True)
class RelpOptions:
    """Which rules replace the gradient; the defaults are those of the RelP authors' own example.

    Attributes:
      constant_norm, linear_activation, halved_products, constant_attention: as in `Propagation`. With the last, edges
        into queries and keys score zero.
      constant_routing: as in `Propagation`, for models with routed layers. Share times output of an expert is a product
        of two factors, of which the share, like a probability of attention, says where from and not what.
    """

    constant_norm: bool = True
    linear_activation: bool = True
    halved_products: bool = True
    constant_attention: bool = False
    constant_routing: bool = True


@functools.partial(jax.jit, static_argnames=("config", "options"))
def relp(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    reference: Sources | None,
    settings: Settings,
    options: RelpOptions,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """score[s, j] = <delta_s, r_j>, r_j the coefficient that relevance propagation carries back to destination j.

    Rezaei Jafari, Eberle, Khakzar and Nanda 2025, arXiv 2508.21258. The relevance that starts is the loss's gradient
    by the logits. One forward and one backward pass, plus the contraction, like EAP.

    Returns:
      Scores [B, S, J], losses [B] and norms of the true gradient [B], all float32.
    """
    propagation = Propagation(**dataclasses.asdict(options))
    trace = run_trace(weights, config, batch, propagation=propagation, level=settings.level)
    clean = Sources.of(trace.captures)
    ablated = ablated_sources(weights, config, batch, clean, settings.ablation, reference, settings.seed)
    deltas, destinations = Deltas.of(clean, ablated, settings.ablation), Destinations.of(trace)
    scores = contract(weights, config, settings.graph(config), deltas, destinations, settings.chunk, propagation)
    _, norm = loss_and_gradient_norm(weights, config, trace.captures.final, batch)  # The trace's follows other rules.
    return scores, trace.loss, norm
