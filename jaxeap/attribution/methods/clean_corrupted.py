"""EAP with the gradient averaged over the clean and the ablated input: the cheapest path of all."""

from __future__ import annotations

import dataclasses
import functools

import jax

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.methods.path import embedding_path_scores, quadrature
from jaxeap.attribution.settings import Settings
from jaxeap.attribution.sources import Sources
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights


@dataclasses.dataclass(frozen=True)
class CleanCorruptedOptions:
    """This method has no options of its own."""


@functools.partial(jax.jit, static_argnames=("config", "options"))
def clean_corrupted(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    reference: Sources | None,
    settings: Settings,
    options: CleanCorruptedOptions,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """score[s, j] = <delta_s, (g_j on the clean input + g_j on the ablated input) / 2>: trapezoid rule, one step.

    As "clean-corrupted" of the EAP-IG code (Hanna et al. 2024). The targets are the clean ones in both. With ablation
    "zero" the ablated input is an embedding of zeros, where the norms' slope is extreme: prefer another ablation.
    Cost: two traces and two contractions.

    Returns:
      Scores [B, S, J], and losses [B] and gradient norms [B] of the clean run, all float32.
    """
    return embedding_path_scores(weights, config, batch, reference, settings, *quadrature(1, "trapezoid"))
