"""The device mesh: (data, fsdp, tensor)."""

from __future__ import annotations

import jax
from jax.sharding import AxisType, Mesh

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
        raise ValueError(f"a mesh of {data} x {fsdp} x {tensor} needs {wanted} devices, there are {len(devices)}")
    return jax.make_mesh((data, fsdp, tensor), AXES, axis_types=(AxisType.Auto,) * 3, devices=devices[:wanted])
