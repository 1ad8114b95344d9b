"""The device mesh: (data, fsdp, tensor)."""

from __future__ import annotations

import contextlib
from typing import Any

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, use_abstract_mesh

AXES = ("data", "fsdp", "tensor")


def make_mesh(data: int = 1, fsdp: int = 1, tensor: int = 1) -> Mesh:
    """A mesh over the first data * fsdp * tensor devices.

    The axes are Auto (the partitioner propagates shardings); `jax.make_mesh` alone would make them Explicit.

    Args:
      data: how many groups of devices share out the examples.
      fsdp: over how many devices parameters are cut along the residual width.
      tensor: over how many devices heads, feed-forward width and vocabulary are cut.

    Raises:
      ValueError: there are fewer devices than that.
    """
    wanted, devices = data * fsdp * tensor, jax.devices()
    if wanted > len(devices):
        raise ValueError(
            f"a mesh of {data} x {fsdp} x {tensor} needs {wanted} devices, there are {len(devices)} "
            f"({devices[0].device_kind}); lower config.mesh.data, .fsdp or .tensor"
        )
    return jax.make_mesh((data, fsdp, tensor), AXES, axis_types=(AxisType.Auto,) * 3, devices=devices[:wanted])


def mesh_of_arrays(tree: Any) -> Mesh | None:
    """The mesh over which a tree's arrays are laid out; None where they are on one device.

    Of arrays inside a `jax.jit`, of which nobody knows where they will be, it is None too.
    """
    known = (leaf for leaf in jax.tree.leaves(tree) if not isinstance(leaf, jax.core.Tracer))
    found = (leaf.sharding.mesh for leaf in known if isinstance(getattr(leaf, "sharding", None), NamedSharding))
    return next((mesh for mesh in found if isinstance(mesh, Mesh)), None)


def entered(mesh: Mesh | AbstractMesh | None) -> contextlib.AbstractContextManager[Any]:
    """A context in which the functions of jaxeap lay out what they compute over `mesh`; None leaves them as they are.

    It is JAX's own context mesh, without devices: those are where the weights lie.
    """
    return contextlib.nullcontext() if mesh is None else use_abstract_mesh(mesh.abstract_mesh)


def entered_mesh() -> AbstractMesh | None:
    """The mesh that is entered; None without one, or inside `jax.shard_map`, where each device is on its own."""
    mesh = jax.sharding.get_abstract_mesh()
    return None if mesh.empty or any(kind != AxisType.Auto for kind in mesh.axis_types) else mesh


def example_groups(mesh: Mesh | AbstractMesh | None) -> int:
    """Into how many groups the devices of a mesh are cut that share out examples."""
    return 1 if mesh is None else mesh.shape.get(AXES[0], 1)
