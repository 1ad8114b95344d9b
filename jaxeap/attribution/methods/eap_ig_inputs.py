"""Integrated gradients along the embedding path, for every edge."""

from __future__ import annotations

import functools

import jax

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.methods.path import PathOptions, embedding_path_scores, quadrature
from jaxeap.attribution.settings import Settings
from jaxeap.attribution.sources import Sources
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights


@functools.partial(jax.jit, static_argnames=("config", "options"))
def eap_ig_inputs(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    reference: Sources | None,
    settings: Settings,
    options: PathOptions,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """score[s, j] = <delta_s, mean of g_j along the straight path of the embedding from ablated to clean>.

    Hanna, Pezzelle and Belinkov 2024 (EAP-IG), arXiv 2403.17806. Complete on one cut only: the scores of the edges
    that leave `embed` add up to loss(ablated embedding) - loss(clean embedding) as steps grows, since the loss's total
    derivative by the embedding is the sum over its readers. Cost: `steps` traces and contractions.

    Returns:
      Scores [B, S, J], and losses [B] and gradient norms [B] of the clean run, all float32.
    """
    points, point_weights = quadrature(options.steps, options.rule)
    return embedding_path_scores(weights, config, batch, reference, settings, points, point_weights)
