"""Constant sources: what is added to the residual stream whatever the input says, and completes the sources' sum."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jaxeap.attribution.graph import EdgeGraph
from jaxeap.models.decoder import positions_of
from jaxeap.models.parameters import Weights


def constant_outputs(weights: Weights, graph: EdgeGraph, mask: jax.Array) -> jax.Array:
    """Outputs of `graph.constants` as they stand in the residual stream, [B, C, T, D] float32.

    Sources and constants that precede a destination add up to what it reads, exactly. Ablating by anything but zero
    leaves a constant as it is, so its scores would be zero.

    Args:
      weights: the decoder's weights.
      graph: of the decoder, at either level.
      mask: [B, T] bool, True for real tokens.
    """
    outputs = [jnp.zeros((*mask.shape, 0, weights["embedding"].shape[1]), jnp.float32)]
    for kind, layer in graph.constant_nodes:
        if kind == "positions":
            constant = jnp.take(weights["positions"], positions_of(mask), axis=0)
        else:
            constant = jnp.broadcast_to(weights["layers"]["output_bias"][layer], (*mask.shape, outputs[0].shape[-1]))
        outputs.append(constant.astype(jnp.float32)[:, :, None])
    return jnp.moveaxis(jnp.concatenate(outputs, axis=2), 2, 1)
