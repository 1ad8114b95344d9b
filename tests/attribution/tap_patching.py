"""Exact patching of single edges through the decoder's taps, written out for one edge at a time.

Moving the residual that destination j reads from x to x + delta moves j's tap by W_j (norm(x + delta) - norm(x)); the
feed-forward layers and the logits have their taps on the residual itself.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import Destination
from jaxeap.attribution.loss import counted_loss
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.norm import norm
from jaxeap.models.parameters import Weights
from jaxeap.models.taps import Captures, Taps


def tap_of_edge(
    weights: Weights, config: ModelConfig, captures: Captures, destination: Destination, delta: jax.Array
) -> Taps:
    """The tap by which a head-level destination reads its residual moved by delta [B, T, D]."""
    taps = Taps.zeros(config, *delta.shape[:2])
    kind, layer, head = destination
    if kind == "logits":
        return dataclasses.replace(taps, final=delta)
    if kind == "mlp":
        moved = taps.layers.mlp.at[layer].set(delta)
    else:
        x, own = captures.layers.attention_input[layer], jax.tree.map(lambda a: a[layer], weights["layers"])
        change = norm(x + delta, own, "attention_norm", config) - norm(x, own, "attention_norm", config)
        projected = jnp.einsum("btd,dk->btk", change, weights["layers"][kind][layer][:, head])
        moved = getattr(taps.layers, kind).at[layer, :, :, head].set(projected)
    return dataclasses.replace(taps, layers=dataclasses.replace(taps.layers, **{kind: moved}))


@functools.partial(jax.jit, static_argnums=1)
def tapped_losses(weights: Weights, config: ModelConfig, batch: Batch, taps: Taps) -> jax.Array:
    """[E, B] losses under taps with a leading axis of E edges."""

    def losses(taps: Taps) -> jax.Array:
        final, _ = run_layers(weights, config, embed(weights, config, batch.tokens), batch.mask, taps)
        return counted_loss(weights, config, final, batch)

    return jax.vmap(losses)(taps)


def patched_losses(
    weights: Weights,
    config: ModelConfig,
    batch: Batch,
    captures: Captures,
    edges: list[tuple[Destination, jax.Array]],
) -> jax.Array:
    """[E, B]: losses when each destination reads its residual moved by its delta [B, T, D], all else recomputed."""
    taps = [tap_of_edge(weights, config, captures, destination, delta) for destination, delta in edges]
    return tapped_losses(weights, config, batch, jax.tree.map(lambda *arrays: jnp.stack(arrays), *taps))
