"""Gradients at the destinations' residual inputs, from the compact gradients by the taps."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxeap.attribution.graph import Level
from jaxeap.attribution.trace import Trace
from jaxeap.models.config import ModelConfig
from jaxeap.models.norm import norm
from jaxeap.models.parameters import Weights
from jaxeap.models.propagation import GRADIENT, Propagation


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Destinations:
    """Gradients of the loss at the taps, and the residual at which attention's norm is linearised.

    Attributes:
      query: [L, B, T, H, K], or [L, B, T, D] behind the norm, as the trace's taps are.
      key, value: [L, B, T, G, K], or [L, B, T, D] likewise.
      mlp: [L, B, T, D].
      final: [B, T, D].
      attention_input: [L, B, T, D].
    """

    query: jax.Array
    key: jax.Array
    value: jax.Array
    mlp: jax.Array
    final: jax.Array
    attention_input: jax.Array

    @classmethod
    def of(cls, trace: Trace) -> Destinations:
        """The destinations of a trace."""
        taps = trace.gradients
        layers = taps.layers
        return cls(
            layers.query, layers.key, layers.value, layers.mlp, taps.final, trace.captures.layers.attention_input
        )

    def at(self, start: jax.Array, size: int) -> Destinations:
        """Positions start to start + size."""
        axes = dataclasses.replace(jax.tree.map(lambda _: 2, self), final=1)
        return jax.tree.map(lambda a, axis: jax.lax.dynamic_slice_in_dim(a, start, size, axis), self, axes)

    def expand(
        self, weights: Weights, config: ModelConfig, level: Level, propagation: Propagation = GRADIENT
    ) -> jax.Array:
        """Gradient at every destination's residual input, in the graph's order: [B, J, T, D] float32.

        Queries, keys and values are pulled back through their projection and through the norm that they share, each
        as a reader of its own; the others are taken at the residual already.

        Raises:
          ValueError: head level of a trace that was run for block level.
        """
        if level == "head" and self.query.ndim == 4:
            raise ValueError("the trace was run at block level and has no gradients of heads; run it at head level")
        layers = weights["layers"]

        def through_projection(gradient: jax.Array, projection: jax.Array) -> jax.Array:
            if gradient.ndim == 4:
                return gradient[:, :, None].astype(jnp.float32)
            pulled = jnp.einsum(
                "lbthk,ldhk->lbhtd" if level == "head" else "lbthk,ldhk->lbtd",
                gradient,
                projection,
                preferred_element_type=jnp.float32,
                precision=jax.lax.Precision.HIGHEST,
            )
            return pulled if level == "head" else pulled[:, :, None]

        attention = jnp.concatenate(
            [
                through_projection(self.query, layers["query"]),
                through_projection(self.key, layers["key"]),
                through_projection(self.value, layers["value"]),
            ],
            axis=2,
        )

        def through_norm(gradients: jax.Array, x: jax.Array, own: dict[str, jax.Array]) -> jax.Array:
            """[B, N, T, D] behind the norm -> before it, at residual x [B, T, D]."""
            _, pull_back = jax.vjp(lambda x: norm(x, own, "attention_norm", config, propagation), x.astype(jnp.float32))
            return jax.vmap(lambda gradient: pull_back(gradient)[0], in_axes=1, out_axes=1)(gradients)

        if config.pre_norms:
            names = ("attention_norm", "attention_norm_bias")
            norms = {name: layers[name].astype(jnp.float32) for name in names if name in layers}
            attention = jax.vmap(through_norm)(attention, self.attention_input, norms)
        in_layers = jnp.concatenate([attention, self.mlp[:, :, None].astype(jnp.float32)], axis=2)
        num_layers, batch, nodes, length, width = in_layers.shape
        in_order = jnp.moveaxis(in_layers, 0, 1).reshape(batch, num_layers * nodes, length, width)
        return jnp.concatenate([in_order, self.final[:, None].astype(jnp.float32)], axis=1)
