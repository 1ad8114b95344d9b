"""The routed feed-forward layer: each token goes to a few of many experts (Jiang et al. 2024, arXiv 2401.04088)."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from jaxeap.models.config import ModelConfig
from jaxeap.models.mlp import gated_mlp
from jaxeap.models.propagation import GRADIENT, Propagation, constant_if

EXPERT = ("gate", "up", "down")
"""Weights with an axis of experts in front."""


def expert_shares(
    x: jax.Array, layer: Mapping[str, jax.Array], config: ModelConfig, propagation: Propagation = GRADIENT
) -> jax.Array:
    """What each expert's output is multiplied by, [B, T, E] float32: zero for all but `config.experts_per_token` (k).

    Softmax over all experts, of which the k largest are kept; with `config.renormalised_routing` divided by their sum.
    Which experts are chosen is piecewise constant, so the gradient flows through the sizes of the shares alone.

    Args:
      x: [B, T, D], already normalised.
      layer: one layer's weights; "router" [D, E].
      config: the decoder's shape.
      propagation: rules of the backward pass.
    """
    products = jnp.einsum("btd,de->bte", x, layer["router"], preferred_element_type=jnp.float32)
    largest, chosen = jax.lax.top_k(jax.nn.softmax(products, axis=-1), config.experts_per_token)
    if config.renormalised_routing:
        largest = largest / jnp.sum(largest, axis=-1, keepdims=True)
    places = jax.nn.one_hot(chosen, config.num_experts, dtype=jnp.float32)
    return constant_if(propagation.constant_routing, jnp.einsum("btk,btke->bte", largest, places))


def routed_mlp(
    x: jax.Array, layer: Mapping[str, jax.Array], config: ModelConfig, propagation: Propagation = GRADIENT
) -> jax.Array:
    """sum_e share_e(x) down_e(activation(gate_e(x)) * up_e(x)), expert after expert.

    Every expert computes every token, since shapes must not depend on the router: E / k times the multiplications that
    are needed (4 for Mixtral 8x7B, 16 for Qwen3-30B-A3B), all of them of the matrices' full size. In return no token is
    ever dropped, and memory is that of one expert: [B, T, F], and [B, T, E] of shares. The backward pass computes each
    expert again instead of keeping [E, B, T, F].

    Args:
      x: [B, T, D], already normalised.
      layer: one layer's weights; "router" [D, E], "gate" and "up" [E, D, F], "down" [E, F, D].
      config: the decoder's shape.
      propagation: rules of the backward pass.

    Returns:
      [B, T, D], as it is added to the residual stream; summed over experts in float32.
    """

    @jax.checkpoint
    def written(x: jax.Array, expert: Mapping[str, jax.Array], share: jax.Array) -> jax.Array:
        return share[:, :, None] * gated_mlp(x, expert, config.activation, propagation).astype(jnp.float32)

    def add(total: jax.Array, here: tuple[Mapping[str, jax.Array], jax.Array]) -> tuple[jax.Array, None]:
        return total + written(x, *here), None

    shares = jnp.moveaxis(expert_shares(x, layer, config, propagation), -1, 0)
    experts = {name: layer[name] for name in EXPERT}
    total, _ = jax.lax.scan(add, jnp.zeros(x.shape, jnp.float32), (experts, shares))
    return total.astype(x.dtype)
