"""The decoder's norms: root mean square (Zhang and Sennrich 2019, arXiv 1910.07467) and LayerNorm."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from jaxeap.models.config import ModelConfig, NormKind
from jaxeap.models.propagation import GRADIENT, Propagation, constant_if

ROOT = "inverse_root"
KEPT = jax.checkpoint_policies.save_only_these_names(ROOT)
"""What the backward pass keeps of a norm beside its input: one number for each position."""


def inverse_root(
    x: jax.Array,
    epsilon: float,
    propagation: Propagation = GRADIENT,
    axes: tuple[int, ...] = (-1,),
    across: tuple[str, ...] = (),
) -> jax.Array:
    """1 / sqrt(mean(x^2) + epsilon) over `axes`, which stay as 1, and over the parts on other devices; float32."""
    root = jax.lax.rsqrt(_mean(jnp.square(x.astype(jnp.float32)), axes, across) + epsilon)
    root = checkpoint_name(root, ROOT)
    return constant_if(propagation.constant_norm, root)


def _mean(x: jax.Array, axes: tuple[int, ...], across: tuple[str, ...]) -> jax.Array:
    """Mean over `axes`, which stay as 1, of the parts on all devices along the mesh axes `across`."""
    own = jnp.mean(x, axis=axes, keepdims=True)
    return jax.lax.pmean(own, across) if across else own


def norm_scale(scale: jax.Array, kind: NormKind) -> jax.Array:
    """What the stored scale of a norm multiplies by."""
    return scale if kind == "rms" else scale.astype(jnp.float32) + (1.0 if kind == "rms_one_plus" else 0.0)


def norm(
    x: jax.Array,
    weights: Mapping[str, jax.Array],
    name: str,
    config: ModelConfig,
    propagation: Propagation = GRADIENT,
    across: tuple[str, ...] = (),
) -> jax.Array:
    """The norm `name` of a layer or of the decoder applied to x [..., D]; x itself where there is no such norm.

    Inside a `jax.shard_map`, where x is one device's part of the width, `across` names the mesh axes that cut it.
    """
    if name not in weights:
        return x
    bias = weights[f"{name}_bias"] if config.norm == "layer" else None

    @functools.partial(jax.checkpoint, policy=KEPT, prevent_cse=False)
    def normed(x: jax.Array, scale: jax.Array, bias: jax.Array | None) -> jax.Array:
        if bias is not None:
            return layer_norm(x, scale, bias, config.norm_epsilon, propagation, across)
        return rms_norm(x, scale, config.norm_epsilon, propagation, config.norm, across)

    return normed(x, weights[name], bias)


def layer_norm(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    epsilon: float,
    propagation: Propagation = GRADIENT,
    across: tuple[str, ...] = (),
) -> jax.Array:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the last axis (Ba et al. 2016, arXiv 1607.06450).

    Args:
      x: [..., D].
      scale, bias: [D].
      epsilon: added to the variance.
      propagation: rules of the backward pass.
      across: as of `norm`.

    Returns:
      [..., D] in x's dtype; computed in float32.
    """
    wide = x.astype(jnp.float32)
    centred = wide - _mean(wide, (-1,), across)
    normalised = centred * inverse_root(centred, epsilon, propagation, across=across)
    scale, bias = (a.astype(jnp.float32).reshape((1,) * (x.ndim - 1) + a.shape) for a in (scale, bias))
    return (normalised * scale + bias).astype(x.dtype)


def rms_norm(
    x: jax.Array,
    scale: jax.Array,
    epsilon: float,
    propagation: Propagation = GRADIENT,
    kind: NormKind = "rms",
    across: tuple[str, ...] = (),
) -> jax.Array:
    """x / sqrt(mean(x^2) + epsilon) * scale over the axes of scale, normalised in float32 and rounded to x's dtype.

    Args:
      x: [..., D].
      scale: [D], or several axes to norm over jointly.
      epsilon: added to the mean square.
      propagation: rules of the backward pass.
      kind: how the scale is applied.
      across: as of `norm`.

    Returns:
      [..., D] in x's dtype.
    """
    normalised = x.astype(jnp.float32) * inverse_root(x, epsilon, propagation, tuple(range(-scale.ndim, 0)), across)
    multiplier = norm_scale(scale, kind).reshape((1,) * (x.ndim - scale.ndim) + scale.shape)
    if kind == "rms":
        return normalised.astype(x.dtype) * multiplier
    return (normalised * multiplier).astype(x.dtype)
