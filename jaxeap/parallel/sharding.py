"""Which logical axis of an array lies along which axes of the mesh: declared once, for every kind of array."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from jaxeap.parallel.mesh import entered_mesh

ARRAYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # What a program is given and gives back.
        "tokens": ("batch", "positions"),
        "loss": ("batch",),
        "logits": ("batch", "positions", "vocab"),
        "scores": ("batch", "sources", "destinations"),
        # The residual stream, its captures and its gradients; and what a matrix product with a weight
        # reads of it, once for all heads or each head its own.
        "residual": ("batch", "positions", "residual"),
        "read": ("batch", "positions", "embed"),
        "residual_bias": ("residual",),
        "reads": ("batch", "positions", "heads", "embed"),
        "kv_reads": ("batch", "positions", "kv_heads", "embed"),
        # Inside a layer: queries and head outputs, their captures, taps and gradients; keys and values; neurons.
        "heads": ("batch", "positions", "heads", "head"),
        "kv_heads": ("batch", "positions", "kv_heads", "head"),
        "neurons": ("batch", "positions", "mlp"),
        # The cache of generation, keys or values, whose pool of blocks all rows share, or in which each has its own;
        # and what a row adds to it.
        "cache": ("blocks", "kv_heads", "slots", "slots"),
        "reserved_cache": ("reserved_blocks", "kv_heads", "slots", "slots"),
        "cached": ("rows", "kv_heads", "head"),
    }
)
"""Logical axes of every kind of activation. Those of parameters stand with their shapes, in `ParameterSpec.axes`."""

PARAMETERS: tuple[tuple[str, ...], ...] = (
    ("vocab", "embed"),
    ("positions", "embed"),
    ("layers", "embed", "heads", "head"),
    ("layers", "embed", "kv_heads", "head"),
    ("layers", "embed", "experts", "mlp"),
)
"""Logical axes that meet in one parameter: what rules are checked for when they are declared."""

Along = str | tuple[str, ...] | None
"""Axes of the mesh that an axis is cut over, the first the coarsest; None is replicated."""


@dataclasses.dataclass(frozen=True)
class ShardingRules:
    """Mesh axes of each logical axis.

    By default examples lie along data, and a weight is cut in two: its residual width over fsdp, and its heads,
    neurons or vocabulary over tensor. A product over a width that is cut gives partial sums, which are added up over
    the devices: activations travel, weights never do. Between products the residual stream, and so all that is
    stored of it, is cut over both.

    Attributes:
      batch: examples.
      positions, sources, destinations, layers, head: of tokens, nodes, layers, channels.
      residual: the width of the residual stream where it is stored, and of the scoring contraction.
      embed: the width of the residual stream in weights, and where they read it.
      vocab, heads, kv_heads, mlp, experts: of the weights, and of what they make.
      rows, blocks, slots: what answers that are being written add to their cache, its blocks, and what is within a
        block; any block may be any row's.
      reserved_blocks: blocks of a cache in which every row has its own: they lie where the row is computed.

    Raises:
      ValueError: two axes of one kind of array would lie along the same mesh axis.
    """

    layers: Along = None
    batch: Along = "data"
    positions: Along = None
    residual: Along = ("fsdp", "tensor")
    vocab: Along = "tensor"
    embed: Along = "fsdp"
    heads: Along = "tensor"
    kv_heads: Along = "tensor"
    head: Along = None
    mlp: Along = "tensor"
    experts: Along = None
    sources: Along = None
    destinations: Along = None
    rows: Along = None
    blocks: Along = None
    reserved_blocks: Along = "data"
    slots: Along = None

    def __post_init__(self) -> None:
        for axes in PARAMETERS:
            self._check(f"axes {axes} of one parameter", [self.along(axis) for axis in axes])
        for kind, axes in ARRAYS.items():
            self._check(f"axes {axes} of {kind}", [self.along(axis) for axis in ("layers", *axes)])

    def along(self, axis: str) -> tuple[str, ...]:
        """Mesh axes of a logical axis."""
        found: Along = getattr(self, axis)
        return (found,) if isinstance(found, str) else found or ()

    def partition(self, shape: Sequence[int], axes: Sequence[str], mesh: Mesh | AbstractMesh) -> PartitionSpec:
        """The partition of an array with logical `axes`.

        An axis is cut over as many of its mesh axes, from the first, as divide it; others, and those that the mesh
        does not have, leave it whole.

        Raises:
          ValueError: two axes of the array would lie along the same mesh axis.
        """
        placed = [divided(size, self.along(axis), mesh) for size, axis in zip(shape, axes, strict=True)]
        self._check(f"axes {tuple(axes)} of one parameter", placed)
        return PartitionSpec(*(along[0] if len(along) == 1 else along or None for along in placed))

    def _check(self, what: str, placed: Sequence[tuple[str, ...]]) -> None:
        used = list(itertools.chain(*placed))
        if len(used) != len(set(used)):
            raise ValueError(f"{what} would share a mesh axis: {placed}")


RULES = ShardingRules()
"""The rules that all arrays of jaxeap are laid out by."""


def divided(size: int, along: Sequence[str], mesh: Mesh | AbstractMesh) -> tuple[str, ...]:
    """As many of the mesh axes, from the first, as cut `size` into equal parts."""
    present = [axis for axis in along if axis in mesh.shape]
    most = next((n for n in range(len(present), 0, -1) if size % math.prod(mesh.shape[a] for a in present[:n]) == 0), 0)
    return tuple(present[:most])


def sharding_of(
    shape: Sequence[int], axes: Sequence[str], mesh: Mesh | None, rules: ShardingRules = RULES
) -> NamedSharding | SingleDeviceSharding:
    """Where an array lives: laid out over `mesh` by `rules`, or on the default device where there is no mesh."""
    if mesh is None:
        return SingleDeviceSharding(jax.devices()[0])
    return NamedSharding(mesh, rules.partition(shape, axes, mesh))


def put(array: np.ndarray, kind: str, mesh: Mesh | None) -> np.ndarray | jax.Array:
    """An array that the host has, laid out over the mesh as its kind is; as it is where there is no mesh.

    Each device is sent its own part alone, and each of several hosts sends only what its devices hold.
    """
    if mesh is None:
        return array
    where = sharding_of(array.shape, axes_of(kind, array.ndim), mesh)
    return jax.make_array_from_callback(array.shape, where, lambda part: array[part])


def axes_of(kind: str, ndim: int) -> tuple[str, ...]:
    """Logical axes of an array of a kind in `ARRAYS`; one more axis than it has is that of stacked layers."""
    axes = ARRAYS[kind]
    return ("layers", *axes) if ndim == len(axes) + 1 else axes


def constrain(x: jax.Array, kind: str, rules: ShardingRules = RULES) -> jax.Array:
    """x, laid out as its kind is; x itself where there is no mesh, or where a function is already on one device's part.

    The mesh is JAX's own context mesh, which the entry points enter (`jaxeap.parallel.mesh.entered`).

    Args:
      x: an array of the axes of `kind`, or of that and one of layers in front.
      kind: a key of `ARRAYS`.
      rules: see there.
    """
    return constrain_axes(x, axes_of(kind, x.ndim), rules)


def constrain_axes(x: jax.Array, axes: Sequence[str], rules: ShardingRules = RULES) -> jax.Array:
    """`constrain` for an array of no kind in `ARRAYS`, a parameter for one, with its logical axes."""
    mesh = entered_mesh()
    return x if mesh is None else jax.lax.with_sharding_constraint(x, rules.partition(x.shape, axes, mesh))


def replicated(x: jax.Array) -> jax.Array:
    """x, whole on every device of the entered mesh, as every host needs it to read it; x itself where there is none."""
    return x if entered_mesh() is None else jax.lax.with_sharding_constraint(x, PartitionSpec())
