"""The gated feed-forward layer (SwiGLU; Shazeer 2020, arXiv 2002.05202)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp

ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = MappingProxyType({"silu": jax.nn.silu})


def gated_mlp(x: jax.Array, layer: Mapping[str, jax.Array], activation: str) -> jax.Array:
    """down(activation(gate(x)) * up(x)).

    Args:
      x: [B, T, D], already normalised.
      layer: one layer's weights; "gate" and "up" [D, F], "down" [F, D].
      activation: a key of `ACTIVATIONS`.

    Returns:
      [B, T, D], as it is added to the residual stream.
    """
    gate = jnp.einsum("btd,df->btf", x, layer["gate"])
    up = jnp.einsum("btd,df->btf", x, layer["up"])
    return jnp.einsum("btf,fd->btd", ACTIVATIONS[activation](gate) * up, layer["down"])
