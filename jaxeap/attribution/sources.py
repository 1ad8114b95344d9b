"""Outputs of the sources in compact form: heads before the output projection, so that no [.., S, D] array is held."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxeap.attribution.graph import Level
from jaxeap.models.attention import output_projection
from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.models.taps import Captures


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sources:
    """What each source adds to the residual stream, or a change of it; linear, so differences keep the form.

    Attributes:
      embedding: [B, T, D].
      heads: [L, B, T, H, K], before the output projection; divided by the denominator of the norm after it, if any.
        What head level reads.
      attention: [L, B, T, D], all heads and the output bias, as added to the residual stream. What block level reads.
      mlp: [L, B, T, D].
      output_bias: [L, D], what attention adds beside its heads, or None. Part of `a{l}` at block level; at head level
        it is no head's, and a constant source of its own (see `jaxeap.attribution.constants`).

    A jitted scorer computes and keeps only the one of heads and attention that its level reads.
    """

    embedding: jax.Array
    heads: jax.Array
    attention: jax.Array
    mlp: jax.Array
    output_bias: jax.Array | None = None

    @classmethod
    def of(cls, captures: Captures) -> Sources:
        """The sources' outputs in a forward pass."""
        layers = captures.layers
        return cls(captures.embedding, layers.heads, layers.attention, layers.mlp, layers.output_bias)

    def at(self, start: jax.Array, size: int) -> Sources:
        """Positions start to start + size."""

        def cut(a: jax.Array, axis: int) -> jax.Array:
            return jax.lax.dynamic_slice_in_dim(a, start, size, axis)

        return Sources(
            cut(self.embedding, 1), cut(self.heads, 2), cut(self.attention, 2), cut(self.mlp, 2), self.output_bias
        )

    def expand(self, weights: Weights, config: ModelConfig, level: Level) -> jax.Array:
        """Every source as it stands in the residual stream, in the graph's order: [B, S, T, D] float32."""
        if level == "block":
            attention = self.attention[:, :, None].astype(jnp.float32)
        else:
            # Widened first: XLA on CPU refuses some layouts of a bfloat16 product that is accumulated in float32.
            attention = jnp.einsum(
                "lbthk,lhkd->lbhtd",
                self.heads.astype(jnp.float32),
                output_projection(weights["layers"], config).astype(jnp.float32),
                precision=jax.lax.Precision.HIGHEST,
            )
        layers = jnp.concatenate([attention, self.mlp[:, :, None].astype(jnp.float32)], axis=2)
        num_layers, batch, nodes, length, width = layers.shape
        in_order = jnp.moveaxis(layers, 0, 1).reshape(batch, num_layers * nodes, length, width)
        return jnp.concatenate([self.embedding[:, None].astype(jnp.float32), in_order], axis=1)
