"""The feed-forward layer, gated (SwiGLU, GeGLU; Shazeer 2020, arXiv 2002.05202) or plain."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp

from jaxeap.models.config import ModelConfig
from jaxeap.models.norm import norm_scale
from jaxeap.models.propagation import GRADIENT, Propagation
from jaxeap.parallel.sharding import constrain

ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = MappingProxyType(
    {
        "silu": jax.nn.silu,
        "gelu": functools.partial(jax.nn.gelu, approximate=False),
        "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
    }
)


def gated_neurons(
    x: jax.Array, layer: Mapping[str, jax.Array], activation: str, propagation: Propagation = GRADIENT
) -> jax.Array:
    """The feed-forward layer's neurons [B, T, F] before the down projection.

    They are activation(gate(x)) * up(x), or activation(up(x)) where the layer has no gate. The backward pass keeps both
    projections and computes what is made of them again: it would keep five arrays of that size else, the most of all
    that it keeps.
    """

    def projected(name: str) -> jax.Array:
        product = constrain(jnp.einsum("btd,df->btf", constrain(x, "read"), layer[name]), "neurons")
        return product + layer[f"{name}_bias"][None, None] if f"{name}_bias" in layer else product

    @functools.partial(jax.checkpoint, prevent_cse=False)  # Layers are a loop: there is nothing to be eliminated.
    def activate(gate: jax.Array, up: jax.Array | None) -> jax.Array:
        activated = ACTIVATIONS[activation](gate)
        if propagation.linear_activation:
            # Where the gate is exactly zero so is its activation, and any finite constant will do.
            slope = jnp.where(gate == 0, 0.0, activated / jnp.where(gate == 0, 1.0, gate)).astype(gate.dtype)
            activated = gate * jax.lax.stop_gradient(slope)
        if up is None:
            return activated
        product = activated * up
        return 0.5 * (product + jax.lax.stop_gradient(product)) if propagation.halved_products else product

    up = projected("up")
    return activate(projected("gate"), up) if "gate" in layer else activate(up, None)


def down_projection(layer: Mapping[str, jax.Array], config: ModelConfig) -> jax.Array:
    """[F, D] from neurons to the residual stream: the projection, times the scale of the norm after it if there is one.

    With such a norm, neurons are to be divided by its denominator first.
    """
    if "mlp_post_norm" not in layer:
        return layer["down"]
    scale = norm_scale(layer["mlp_post_norm"], config.norm).astype(jnp.float32)
    return layer["down"].astype(jnp.float32) * scale[None, :]


def gated_mlp(
    x: jax.Array, layer: Mapping[str, jax.Array], activation: str, propagation: Propagation = GRADIENT
) -> jax.Array:
    """down(activation(gate(x)) * up(x)), or down(activation(up(x))) where the layer has no gate.

    Args:
      x: [B, T, D], already normalised.
      layer: one layer's weights; "up" and, if gated, "gate" [D, F], "down" [F, D], biases where there are any.
      activation: a key of `ACTIVATIONS`.
      propagation: rules of the backward pass.

    Returns:
      [B, T, D], as it is added to the residual stream.
    """
    neurons = gated_neurons(x, layer, activation, propagation)
    written = constrain(jnp.einsum("btf,fd->btd", neurons, layer["down"]), "residual")
    return written + layer["down_bias"][None, None] if "down_bias" in layer else written
