"""Outputs of the sources in compact form: heads before the output projection, so that no [.., S, D] array is held."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jaxeap.attribution.graph import Level, SourceKind
from jaxeap.attribution.node_order import layer_by_layer
from jaxeap.attribution.part import WHOLE, Of, Part
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

    def arrays(self, of: Of) -> Sources:
        """`of` each array and its kind, in the same form."""
        return Sources(
            of(self.embedding, "residual"),
            of(self.heads, "heads"),
            of(self.attention, "residual"),
            of(self.mlp, "residual"),
            None if self.output_bias is None else of(self.output_bias, "residual_bias"),
        )

    def at(self, start: jax.Array, size: int) -> Sources:
        """Positions start to start + size, of a batch or of one example."""

        def cut(a: jax.Array, axis: int) -> jax.Array:
            return jax.lax.dynamic_slice_in_dim(a, start, size, axis)

        return Sources(
            cut(self.embedding, -2), cut(self.heads, -3), cut(self.attention, -2), cut(self.mlp, -2), self.output_bias
        )

    def example(self, index: jax.Array) -> Sources:
        """One example, without the batch axis."""

        def cut(a: jax.Array, axis: int) -> jax.Array:
            return jax.lax.dynamic_index_in_dim(a, index, axis, keepdims=False)

        return Sources(
            cut(self.embedding, 0), cut(self.heads, 1), cut(self.attention, 1), cut(self.mlp, 1), self.output_bias
        )

    def by_kind(
        self, weights: Weights, config: ModelConfig, level: Level, part: Part = WHOLE
    ) -> dict[SourceKind, jax.Array]:
        """One example's sources as the residual stream has them: for each kind [nodes, T, D] float32, by layers.

        With a device's `part` of everything, D is its slice of the width.
        """
        if level == "block":
            attention = self.attention.astype(jnp.float32)
        else:
            # Widened first: XLA on CPU refuses some layouts of a bfloat16 product that is accumulated in float32.
            attention = jnp.einsum(
                "lthk,lhkd->lhtd",
                part.all_heads(self.heads, "heads").astype(jnp.float32),
                output_projection(weights["layers"], config).astype(jnp.float32),
                precision=jax.lax.Precision.HIGHEST,
            )
            attention = attention.reshape(-1, *attention.shape[2:])
        return {
            "embed": self.embedding[None].astype(jnp.float32),
            "attention": attention,
            "mlp": self.mlp.astype(jnp.float32),
        }

    def expand(self, weights: Weights, config: ModelConfig, level: Level, part: Part = WHOLE) -> jax.Array:
        """A batch's sources as they stand in the residual stream, in the graph's order: [B, S, T, D] float32."""

        def expand_example(index: jax.Array) -> jax.Array:
            kinds = self.example(index).by_kind(weights, config, level, part)
            return jnp.concatenate([kinds["embed"], layer_by_layer([kinds["attention"], kinds["mlp"]])])

        return jax.vmap(expand_example)(jnp.arange(self.embedding.shape[0], dtype=jnp.int32))
