"""Attention rollout: how much of each input token attention carries to the predictions; a check on the gradients."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.interventions import Ablation, ablated_sources, check_ablation
from jaxeap.attribution.loss import counted_loss
from jaxeap.attribution.positions import predicting_position_weights
from jaxeap.attribution.sources import Sources
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, layer_step, layer_windows, run_layers
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import Weights
from jaxeap.models.taps import Captures, Taps
from jaxeap.parallel.mesh import entered


def attention_rollout(model: Decoder, batch: Batch) -> jax.Array:
    """Relevance of every input token for the positions that predict the counted tokens.

    With A_l the attention probabilities of layer l, averaged over heads, and v the average over the predicting
    positions,

        rollout = v^T M_L ... M_1,   M_l = 0.5 A_l + 0.5 I

    where I stands for the residual connection (Abnar and Zuidema 2020, arXiv 2005.00928).

    Cost: a forward pass and the attention scores once more. The product is taken from the last layer down, a row
    vector times a matrix, so nothing of shape [T, T] is held but one block of queries of one layer.

    Returns:
      [B, T] float32, at least 0, each row summing to 1; zero at padding.

    Raises:
      ValueError: a token beyond the vocabulary.
    """
    batch.check_vocabulary(model.config)
    with entered(model.mesh):
        return _attention_rollout(model.weights, model.config, batch)


def embedding_attribution(
    model: Decoder,
    batch: Batch,
    ablation: Ablation = "zero",
    reference: Sources | None = None,
    seed: int = 0,
) -> jax.Array:
    """First-order effect on the loss of replacing the embedding at one position: the node `embed`, token by token.

    score[t] = <delta_embed[t], dL/de[t]>, with zero ablation -<e[t], dL/de[t]> (gradient times input). Summed over
    positions it is the row sum of `embed` in the scores of "eap". One forward and one backward pass.

    Args:
      model: the decoder.
      batch: examples.
      ablation, reference, seed: as in `attribute`.

    Returns:
      [B, T] float32, zero at padding; positive: replacing that token's embedding raises the loss.

    Raises:
      ValueError: an unknown ablation, what it needs is missing, or a token is beyond the vocabulary.
    """
    check_ablation(ablation, batch, reference)
    batch.check_vocabulary(model.config)
    with entered(model.mesh):
        return _embedding_attribution(model.weights, model.config, batch, reference, ablation, seed)


def token_rank_correlation(
    relevance: jax.typing.ArrayLike, attribution: jax.typing.ArrayLike, mask: np.ndarray
) -> np.ndarray:
    """Spearman's rho of each example between tokens' relevance and the size of their attribution, over real tokens.

    Abnar and Zuidema compare rollout with input gradients in this way. High values are no proof of either; low ones
    say that attention and gradients tell different stories about the same predictions.

    Args:
      relevance: [B, T], as of `attention_rollout`.
      attribution: [B, T], signed, as of `embedding_attribution`.
      mask: [B, T] bool, `batch.mask`.

    Returns:
      [B] float64; NaN where fewer than three tokens are real or all values are the same.
    """
    rows = zip(np.asarray(relevance, np.float64), np.abs(np.asarray(attribution, np.float64)), mask, strict=True)
    return np.array([_spearman(tokens[real], sizes[real]) for tokens, sizes, real in rows])


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return np.nan
    return float(scipy.stats.spearmanr(first, second).statistic)


@functools.partial(jax.jit, static_argnames="config")
def _attention_rollout(weights: Weights, config: ModelConfig, batch: Batch) -> jax.Array:
    mask = jnp.asarray(batch.mask)
    _, captures = run_layers(weights, config, embed(weights, config, jnp.asarray(batch.tokens)), mask)
    step = layer_step(config, mask)
    taps = jax.tree.map(lambda tap: tap[0], Taps.zeros(config, *mask.shape).layers)

    def below(relevance: jax.Array, here: tuple) -> tuple[jax.Array, None]:
        x, layer, window = here
        x, layer = jax.tree.map(lambda a: a.astype(jnp.float32), (x, layer))

        def heads(value_tap: jax.Array) -> jax.Array:
            return step(x, layer, window, dataclasses.replace(taps, value=value_tap))[1].heads

        # A head's output is its attention probabilities times the values, channel by channel: what flows back
        # through one channel of it is multiplied by those probabilities, transposed.
        _, pull_back = jax.vjp(heads, taps.value)
        reading = jnp.zeros_like(taps.query).at[..., 0].set(relevance[:, :, None] / config.num_heads)
        (read,) = pull_back(reading)
        return 0.5 * relevance + 0.5 * jnp.sum(read[..., 0], axis=2), None

    layers = (captures.layers.attention_input, weights["layers"], layer_windows(config))
    relevance, _ = jax.lax.scan(below, predicting_position_weights(batch), layers, reverse=True)
    return relevance


@functools.partial(jax.jit, static_argnames=("config", "ablation"))
def _embedding_attribution(
    weights: Weights, config: ModelConfig, batch: Batch, reference: Sources | None, ablation: Ablation, seed: int
) -> jax.Array:
    def summed_loss(embedding: jax.Array) -> tuple[jax.Array, Captures]:
        final, captures = run_layers(weights, config, embedding, jnp.asarray(batch.mask))
        return jnp.sum(counted_loss(weights, config, final, batch)), captures

    gradient, captures = jax.grad(summed_loss, has_aux=True)(embed(weights, config, jnp.asarray(batch.tokens)))
    clean = Sources.of(captures)
    ablated = ablated_sources(weights, config, batch, clean, ablation, reference, seed)
    delta = ablated.embedding.astype(jnp.float32) - clean.embedding.astype(jnp.float32)
    return jnp.sum(delta * gradient.astype(jnp.float32), axis=-1)
