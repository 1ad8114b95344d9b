"""What one device holds of the arrays that edge scores are made of: its examples, and its slice of the residual width.

A score is a sum over the residual width, so each device adds up its own slice of every source and destination, and one
sum over devices at the end completes it. What is compact, heads before the output projection, is cut by heads; a chunk
of it is collected on each device, which expands it by its slice of the projections.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.sharding import PartitionSpec

from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights, constrain_layers, parameter_specs
from jaxeap.parallel.mesh import entered_mesh
from jaxeap.parallel.sharding import RULES, axes_of, divided

EXPANDING = (
    "attention_norm", "attention_norm_bias", "query", "key", "value", "output", "attention_post_norm",
)  # fmt: skip
"""Weights of the layers by which heads are expanded."""

Of = Callable[[jax.Array, str], Any]
"""Of an array and its kind, a key of `jaxeap.parallel.sharding.ARRAYS`."""


@dataclasses.dataclass(frozen=True)
class Part:
    """By which axes of the mesh arrays are cut; by none where there is no mesh.

    Attributes:
      examples: axes over which examples are shared out.
      width: axes over which the residual width is cut.
      heads, kv_heads: axes over which compact arrays are cut; they are among those of the width.
      devices: how many slices of the width there are.
    """

    examples: tuple[str, ...] = ()
    width: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    kv_heads: tuple[str, ...] = ()
    devices: int = 1

    @classmethod
    def of(cls, config: ModelConfig, batch: int) -> Part:
        """As the entered mesh cuts a batch of a decoder."""
        mesh = entered_mesh()
        if mesh is None:
            return cls()
        width = divided(config.embed_dim, RULES.along("residual"), mesh)
        by_head = (divided(getattr(config, f"num_{axis}"), RULES.along(axis), mesh) for axis in ("heads", "kv_heads"))
        heads, kv_heads = (axes if set(axes) <= set(width) else () for axes in by_head)
        examples = divided(batch, RULES.along("batch"), mesh)
        return cls(examples, width, heads, kv_heads, math.prod(mesh.shape[axis] for axis in width))

    def spec(self, x: jax.Array, kind: str) -> PartitionSpec:
        """How an array of a kind is cut."""
        cut = {"batch": self.examples, "residual": self.width, "heads": self.heads, "kv_heads": self.kv_heads}
        return PartitionSpec(*(cut.get(axis) or None for axis in axes_of(kind, x.ndim)))

    def run(
        self,
        function: Callable[..., jax.Array],
        weights: Weights,
        config: ModelConfig,
        *arguments: tuple[Any, Any],
    ) -> jax.Array:
        """function(weights, *arguments), on every device with what it holds of them; without a mesh, just that.

        Args:
          function: gives an array with the examples first, complete on every device (see `complete`); the weights that
            it gets are those in `EXPANDING`.
          weights: the decoder's weights.
          config: its shape.
          *arguments: (argument, its partition specs in the same form).
        """
        layers = {name: array for name, array in constrain_layers(weights, config).items() if name in EXPANDING}
        specs = {"layers": {name: self._weight_spec(config, name) for name in layers}}
        if entered_mesh() is None:
            return function({"layers": layers}, *(argument for argument, _ in arguments))
        on_devices = jax.shard_map(
            function,
            in_specs=(specs, *(spec for _, spec in arguments)),
            out_specs=PartitionSpec(self.examples or None),
        )
        return on_devices({"layers": layers}, *(argument for argument, _ in arguments))

    def _weight_spec(self, config: ModelConfig, name: str) -> PartitionSpec:
        """Cut along the width alone: to be so, a weight that is cut along heads too changes places all-to-all."""
        axes = parameter_specs(config)[f"layers/{name}"].axes
        return PartitionSpec(*(self.width or None if axis == "embed" else None for axis in axes))

    def complete(self, sums: Any) -> Any:
        """Sums over the whole width from sums over each device's slice of it."""
        return jax.lax.psum(sums, self.width) if self.width else sums

    def own(self, start: Any, of_width: bool = True) -> Any:
        """Arrays that are the same everywhere, as the start of sums that are each device's own.

        Sums over a device's own examples and, if `of_width`, over its own slice of the width.
        """
        axes = (*self.examples, *self.width) if of_width else self.examples
        return jax.lax.pcast(start, axes, to="varying") if axes else start

    def all_heads(self, x: jax.Array, kind: str) -> jax.Array:
        """[..., H, K] of all heads, or key and value heads, from those of each device."""
        axes: Mapping[str, tuple[str, ...]] = {"heads": self.heads, "kv_heads": self.kv_heads}
        return jax.lax.all_gather(x, axes[kind], axis=x.ndim - 2, tiled=True) if axes[kind] else x


WHOLE = Part()
"""Everything on one device."""
