"""Root-mean-square normalisation (Zhang and Sennrich 2019, arXiv 1910.07467)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxeap.models.propagation import GRADIENT, Propagation, constant_if


def rms_norm(x: jax.Array, scale: jax.Array, epsilon: float, propagation: Propagation = GRADIENT) -> jax.Array:
    """x / sqrt(mean(x^2) + epsilon) * scale over the last axis, normalised in float32 and rounded to x's dtype.

    Args:
      x: [..., D].
      scale: [D].
      epsilon: added to the mean square.
      propagation: rules of the backward pass.

    Returns:
      [..., D] in x's dtype.
    """
    wide = x.astype(jnp.float32)
    inverse_root = jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + epsilon)
    normalised = wide * constant_if(propagation.constant_norm, inverse_root)
    return normalised.astype(x.dtype) * scale.reshape((1,) * (x.ndim - 1) + scale.shape)
