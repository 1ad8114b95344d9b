"""Edge attribution patching: the first-order effect of replacing one source for one destination."""

from __future__ import annotations

import dataclasses
import functools

import jax

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.contraction import contract
from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.interventions import Deltas, ablated_sources
from jaxeap.attribution.loss import gradient_norm
from jaxeap.attribution.settings import Settings
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import run_trace
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights


@dataclasses.dataclass(frozen=True)
class EapOptions:
    """EAP has no options of its own."""


@functools.partial(jax.jit, static_argnames=("config", "options"))
def eap(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    reference: Sources | None,
    settings: Settings,
    options: EapOptions,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """score[s, j] = <delta_s, g_j>: the derivative of the loss as source s moves to its ablated value for j alone.

    Syed, Rager and Conmy 2023, arXiv 2310.10348; with zero ablation I(O, H) of arXiv 2509.21044.
    One forward and one backward pass, plus the contraction.

    Returns:
      Scores [B, S, J], losses [B] and gradient norms [B], all float32.
    """
    trace = run_trace(weights, config, batch, level=settings.level)
    clean = Sources.of(trace.captures)
    ablated = ablated_sources(weights, config, batch, clean, settings.ablation, reference, settings.seed)
    deltas = Deltas.of(clean, ablated, settings.ablation)
    scores = contract(weights, config, settings.graph(config), deltas, Destinations.of(trace), settings.chunk)
    return scores, trace.loss, gradient_norm(trace.gradients.final)
