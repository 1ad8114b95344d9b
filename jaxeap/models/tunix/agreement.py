"""Whether a converted decoder computes what the Tunix model did: the same logits, on padded random tokens."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxeap.models.decoder import positions_of
from jaxeap.models.model import Decoder

TOLERANCES = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.1}
"""Largest relative error by the coarsest dtype of the two. A wrong conversion is off by about 1, and rounding to
float32 by 1e-6."""


def tunix_inputs(mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    """What Tunix's models are told of padding [B, T] bool: positions [B, T] int32, attention mask [B, T, T] bool."""
    causal = jnp.tril(jnp.ones((1, mask.shape[1], mask.shape[1]), bool))
    return positions_of(mask), causal & mask[:, None, :]


def tunix_logits(model: Any, tokens: jax.Array, mask: jax.Array) -> jax.Array:
    """Logits [B, T, V] float32 of a Tunix model for tokens [B, T] int32 with mask [B, T] bool."""
    positions, attention_mask = tunix_inputs(mask)
    # Its code is written for JAX's own defaults, whatever the caller has made stricter.
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        logits, _ = model(tokens, positions, None, attention_mask)
    return logits.astype(jnp.float32)


def relative_error(model: Any, decoder: Decoder, length: int = 48) -> float:
    """Root mean square difference of the two models' logits as a share of their size.

    Logits are centred over the vocabulary first, for a shift of all of them changes no probability. Three rows of
    random tokens: one full, one padded on the left, one on the right.
    """
    tokens = np.random.default_rng(0).integers(0, decoder.config.vocab_size, (3, length), np.int32)
    mask = np.ones(tokens.shape, bool)
    mask[1, : length // 3], mask[2, -length // 3 :] = False, False
    inputs, real = jnp.asarray(tokens), jnp.asarray(mask)
    with jax.default_matmul_precision("highest"):
        theirs, ours = (
            np.asarray(logits)[mask] for logits in (tunix_logits(model, inputs, real), decoder(inputs, real))
        )
    theirs, ours = (logits - logits.mean(axis=-1, keepdims=True) for logits in (theirs, ours))
    size = float(np.linalg.norm(theirs))
    difference = float(np.linalg.norm(theirs - ours))
    return difference / size if size else difference
