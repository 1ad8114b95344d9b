"""Gradients at the destinations' residual inputs, from the compact gradients by the taps."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxeap.attribution.graph import DestinationKind, Level
from jaxeap.attribution.node_order import layer_by_layer
from jaxeap.attribution.part import WHOLE, Of, Part
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

    def arrays(self, of: Of) -> Destinations:
        """`of` each array and its kind, in the same form."""
        at_readers = self.query.ndim < 5
        return Destinations(
            of(self.query, "residual" if at_readers else "heads"),
            of(self.key, "residual" if at_readers else "kv_heads"),
            of(self.value, "residual" if at_readers else "kv_heads"),
            of(self.mlp, "residual"),
            of(self.final, "residual"),
            of(self.attention_input, "residual"),
        )

    def at(self, start: jax.Array, size: int) -> Destinations:
        """Positions start to start + size of one example."""
        axes = dataclasses.replace(jax.tree.map(lambda _: 1, self), final=0)
        return jax.tree.map(lambda a, axis: jax.lax.dynamic_slice_in_dim(a, start, size, axis), self, axes)

    def example(self, index: jax.Array) -> Destinations:
        """One example, without the batch axis."""
        axes = dataclasses.replace(jax.tree.map(lambda _: 1, self), final=0)
        return jax.tree.map(lambda a, axis: jax.lax.dynamic_index_in_dim(a, index, axis, keepdims=False), self, axes)

    def by_kind(
        self,
        weights: Weights,
        config: ModelConfig,
        level: Level,
        propagation: Propagation = GRADIENT,
        part: Part = WHOLE,
    ) -> dict[DestinationKind, jax.Array]:
        """One example's gradients at the destinations' residual inputs: for each kind [nodes, T, D] float32, by layers.

        Queries, keys and values are pulled back through their projection and through the norm that they share, each
        as a reader of its own; the others are taken at the residual already. With a device's `part` of everything, D is
        its slice of the width.

        Raises:
          ValueError: head level of a trace that was run for block level.
        """
        tapped_at_readers = self.query.ndim == 3
        if level == "head" and tapped_at_readers:
            raise ValueError("the trace was run at block level and has no gradients of heads; run it at head level")
        layers = weights["layers"]
        names = ("attention_norm", "attention_norm_bias")
        norms = {name: layers[name].astype(jnp.float32) for name in names if name in layers}

        def through_norm(gradients: jax.Array, x: jax.Array, own: dict[str, jax.Array]) -> jax.Array:
            """[N, T, D] behind the norm -> before it, at residual x [T, D]."""
            before = x[None].astype(jnp.float32)
            _, pull_back = jax.vjp(lambda x: norm(x, own, "attention_norm", config, propagation, part.width), before)
            return jax.vmap(lambda gradient: pull_back(gradient[None])[0][0])(gradients)

        def at_residual(gradient: jax.Array, projection: jax.Array, kind: str) -> jax.Array:
            """A tap's gradient [L, T, ...] -> [L * N, T, D], with N = 1 at block level."""
            if tapped_at_readers:
                pulled = gradient[:, None].astype(jnp.float32)
            else:
                pulled = jnp.einsum(
                    "lthk,ldhk->lhtd" if level == "head" else "lthk,ldhk->ltd",
                    part.all_heads(gradient, kind),
                    projection,
                    preferred_element_type=jnp.float32,
                    precision=jax.lax.Precision.HIGHEST,
                )
                pulled = pulled if level == "head" else pulled[:, None]
            if config.pre_norms:
                pulled = jax.vmap(through_norm)(pulled, self.attention_input, norms)
            return pulled.reshape(-1, *pulled.shape[2:])

        return {
            "query": at_residual(self.query, layers["query"], "heads"),
            "key": at_residual(self.key, layers["key"], "kv_heads"),
            "value": at_residual(self.value, layers["value"], "kv_heads"),
            "mlp": self.mlp.astype(jnp.float32),
            "logits": self.final[None].astype(jnp.float32),
        }

    def expand(
        self, weights: Weights, config: ModelConfig, level: Level, propagation: Propagation = GRADIENT
    ) -> jax.Array:
        """Gradient at every destination's residual input, in the graph's order: [B, J, T, D] float32."""

        def expand_example(index: jax.Array) -> jax.Array:
            kinds = self.example(index).by_kind(weights, config, level, propagation)
            in_layers = layer_by_layer([kinds["query"], kinds["key"], kinds["value"], kinds["mlp"]])
            return jnp.concatenate([in_layers, kinds["logits"]])

        return jax.vmap(expand_example)(jnp.arange(self.final.shape[0], dtype=jnp.int32))
