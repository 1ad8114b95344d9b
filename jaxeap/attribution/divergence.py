"""How far two models' predictions are apart on the same tokens, exactly, with one model in memory at a time.

The divergence at a token needs both models' whole distributions there. Each is the unembedding of one vector of the
last residual stream, so it is enough to keep those vectors, and the final norm and unembedding, of the model that left.
"""

from __future__ import annotations

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers, unembed
from jaxeap.models.parameters import Weights
from jaxeap.parallel.mesh import entered, example_groups, mesh_of_arrays
from jaxeap.parallel.sharding import constrain, replicated

TOKENS_AT_ONCE = 64
"""Distributions over the vocabulary that are held at once, of either model."""


def head_of(weights: Weights, config: ModelConfig) -> Weights:
    """The weights that make logits of the last residual stream."""
    left_out = {"layers", "positions"} | (set() if config.tied_embeddings else {"embedding"})
    return {name: value for name, value in weights.items() if name not in left_out}


def predicting_residuals(weights: Weights, config: ModelConfig, batch: Batch) -> jax.Array:
    """The last residual stream where each counted token is predicted, [B, W, D] in the model's dtype.

    What stands where `batch.target_mask` is False is of no meaning.
    """
    mesh = mesh_of_arrays(weights)
    filled = batch.filled(example_groups(mesh))
    with entered(mesh):
        residuals = _predicting_residuals(weights, config, filled)
    return residuals if filled is batch else residuals[: batch.size]


@functools.partial(jax.jit, static_argnames="config")
def _predicting_residuals(weights: Weights, config: ModelConfig, batch: Batch) -> jax.Array:
    final, _ = run_layers(weights, config, embed(weights, config, jnp.asarray(batch.tokens)), jnp.asarray(batch.mask))
    width = batch.targets.shape[1]
    positions = jnp.asarray(batch.first)[:, None] - 1 + jnp.arange(width, dtype=jnp.int32)[None]
    positions = jnp.minimum(positions, final.shape[1] - 1)
    return constrain(jnp.take_along_axis(final, positions[:, :, None], axis=1), "residual")


def token_divergences(
    head: Weights, config: ModelConfig, residuals: np.ndarray, other: Weights, other_config: ModelConfig,
    other_residuals: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """KL(model || other) of the next token, in nats, [M] float32; exactly 0 for a model and itself.

    Where the vocabularies have different sizes (one is padded), both are normalised over the tokens that they share.

    Args:
      head, other: the models' `head_of`.
      config, other_config: their shapes.
      residuals, other_residuals: [M, D] of their last residual streams at the same tokens.
    """
    chex.assert_equal_shape((residuals, other_residuals))
    shared = min(config.vocab_size, other_config.vocab_size)
    parts = []
    for start in range(0, len(residuals), TOKENS_AT_ONCE):
        # Each by a call of the same program: in one program for both, XLA may order the two sums differently.
        with entered(mesh_of_arrays(head)):
            log_p, log_q = (
                _log_probabilities(weights, shape, _padded(rows[start : start + TOKENS_AT_ONCE]), shared)
                for weights, shape, rows in ((head, config, residuals), (other, other_config, other_residuals))
            )
            divergence = _divergence(log_p, log_q)
        parts.append(np.asarray(divergence)[: len(residuals) - start])
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _padded(rows: np.ndarray) -> np.ndarray:
    return np.pad(rows, ((0, TOKENS_AT_ONCE - len(rows)), (0, 0)), mode="edge")


@functools.partial(jax.jit, static_argnames=("config", "shared"))
def _log_probabilities(head: Weights, config: ModelConfig, residuals: jax.Array, shared: int) -> jax.Array:
    final = residuals.astype(head["final_norm"].dtype)
    return jax.nn.log_softmax(unembed(head, config, final[None])[0, :, :shared], axis=-1)


@jax.jit
def _divergence(log_p: jax.Array, log_q: jax.Array) -> jax.Array:
    """sum p (log p - log q), as sum p (d + exp(-d) - 1) with d = log p - log q: both sum to 1, so it is the same.

    No term is below 0, so that small divergences are no differences of large terms, and a rounding of d counts d times.
    """
    p, difference = jnp.exp(log_p), log_p - log_q
    near = p * (difference + jnp.expm1(-difference))
    far = p * difference + jnp.exp(log_q) - p  # Where exp(-d) might be too large for a number.
    return replicated(jnp.sum(jnp.where(jnp.abs(difference) < 1, near, far), axis=-1))
