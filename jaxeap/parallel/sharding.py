"""Which logical axis of a parameter lies along which axis of the mesh."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding


@dataclasses.dataclass(frozen=True)
class ShardingRules:
    """Mesh axis of each logical axis; None is replicated. The defaults are tensor parallelism within, FSDP across."""

    layers: str | None = None
    positions: str | None = None
    vocab: str | None = "tensor"
    embed: str | None = "fsdp"
    heads: str | None = "tensor"
    kv_heads: str | None = "tensor"
    head: str | None = None
    mlp: str | None = "tensor"
    experts: str | None = None

    def partition(self, shape: Sequence[int], axes: Sequence[str], mesh: Mesh) -> PartitionSpec:
        """The partition of one parameter with logical `axes`; an axis that its mesh axis does not divide stays whole.

        Raises:
          ValueError: two axes of the parameter would lie along the same mesh axis.
        """
        placed = []
        for size, axis in zip(shape, axes, strict=True):
            along = getattr(self, axis)
            placed.append(along if along is not None and size % mesh.shape[along] == 0 else None)
        used = [along for along in placed if along is not None]
        if len(used) != len(set(used)):
            raise ValueError(f"axes {axes} of one parameter would share a mesh axis: {placed}")
        return PartitionSpec(*placed)


def sharding_of(
    shape: Sequence[int], axes: Sequence[str], mesh: Mesh | None, rules: ShardingRules | None = None
) -> NamedSharding | SingleDeviceSharding:
    """Where a parameter lives: laid out over `mesh` by `rules`, or on the default device where there is no mesh."""
    if mesh is None:
        return SingleDeviceSharding(jax.devices()[0])
    return NamedSharding(mesh, (rules or ShardingRules()).partition(shape, axes, mesh))
