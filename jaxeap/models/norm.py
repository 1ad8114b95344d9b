"""Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467)."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def rms_norm(x: jax.Array, scale: jax.Array, epsilon: float) -> jax.Array:
    """x / sqrt(mean(x^2) + epsilon) * scale over the last axis, normalised in float32 and rounded to x's dtype.

    Args:
      x: [..., D].
      scale: [D].
      epsilon: added to the mean square.

    Returns:
      [..., D] in x's dtype.
    """
    wide = x.astype(jnp.float32)
    normalised = wide * jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + epsilon)
    return normalised.astype(x.dtype) * scale.reshape((1,) * (x.ndim - 1) + scale.shape)
