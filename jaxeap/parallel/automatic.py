"""The mesh that fits a model: as few devices as its weights need for each copy of it, and as many copies as there are.

Copies share out the examples and never wait for each other, so they are what devices are best used for; cutting the
weights costs communication in every layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh

from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import parameter_specs
from jaxeap.parallel.mesh import AXES
from jaxeap.parallel.sharding import RULES

WEIGHTS_SHARE = 0.5
"""Of the memory that is to be used, what weights may take; the rest is for activations, captures and the cache."""


SUPPOSED_GB = 80.0
"""Of a device that does not say."""


class MeshSizes(NamedTuple):
    """Sizes of the mesh's axes, and why they are what they are."""

    data: int
    fsdp: int
    tensor: int
    reason: str

    @property
    def devices(self) -> int:
        """How many devices that takes."""
        return self.data * self.fsdp * self.tensor


def weight_bytes(config: ModelConfig, dtype: str, fsdp: int = 1, tensor: int = 1) -> int:
    """Bytes of the weights on each of fsdp * tensor devices, laid out by the rules by which they are loaded."""
    mesh = AbstractMesh((1, fsdp, tensor), AXES)
    total = 0
    for spec in parameter_specs(config).values():
        placed = RULES.partition(spec.shape, spec.axes, mesh)
        total += math.prod(spec.shape) // math.prod(mesh.shape[axis] for axis in placed if axis is not None)
    return total * jnp.dtype(dtype).itemsize


def device_bytes(gigabytes: float | None) -> tuple[float, bool]:
    """Bytes of a device, and whether that is known: as given, else as the device says, else supposed."""
    if gigabytes is not None:
        return gigabytes * 1e9, True
    statistics: Mapping[str, int] = jax.local_devices()[0].memory_stats() or {}
    limit = statistics.get("bytes_limit")
    return (float(limit), True) if limit else (SUPPOSED_GB * 1e9, False)


def choose_mesh(
    config: ModelConfig, dtype: str, devices: int, usable: float, rows: int, given: tuple[int, int, int] = (0, 0, 0)
) -> MeshSizes:
    """The smallest group of devices that holds the weights with room to work, as often as there are devices for it.

    Within a group the weights are cut over tensor as far as it divides query heads and key heads, since there each
    device attends on its own, and over fsdp beyond that.

    Args:
      config: the decoder's shape.
      dtype: of its weights.
      devices: how many there are.
      usable: bytes of each that may be used.
      rows: the most examples that are scored at once: more copies than that would have nothing to do.
      given: (data, fsdp, tensor) as far as they are fixed; 0 is chosen.

    Raises:
      ValueError: what is given needs more devices than there are.
    """
    data, fsdp, tensor = given
    least = max(data, 1) * max(fsdp, 1) * max(tensor, 1)
    if least > devices:
        asked = " x ".join(str(size or 1) for size in given)
        raise ValueError(
            f"a mesh of {asked} needs {least} devices, there are {devices}; lower config.mesh.data, .fsdp or .tensor"
        )
    most = devices // max(data, 1)
    groups = [*_groups(config, most, fsdp, tensor)] or [(max(fsdp, 1), max(tensor, 1))]
    fits = [group for group in groups if weight_bytes(config, dtype, *group) <= WEIGHTS_SHARE * usable]
    fsdp, tensor = (fits or groups[-1:])[0]
    group = fsdp * tensor
    data = data or max(1, min(devices // group, rows))
    weights = f"{weight_bytes(config, dtype, fsdp, tensor) / 1e9:.3g} GB of weights a device"
    reason = f"{weights}{'' if fits else ', even'} over {_devices(group)} of {usable / 1e9:.3g} usable GB"
    if data > 1:
        reason += f"; {data} such groups share out the examples"
    if idle := devices - data * group:
        reason += f"; {_devices(idle)} of {devices} not used"
    return MeshSizes(data, fsdp, tensor, reason)


def _groups(config: ModelConfig, most: int, fsdp: int, tensor: int) -> Iterator[tuple[int, int]]:
    """(fsdp, tensor) of every number of devices up to `most` that cuts the model evenly, the fewest first."""
    heads = math.gcd(config.num_heads, config.num_kv_heads)
    for group in range(1, most + 1):
        along = tensor or math.gcd(group // max(fsdp, 1), heads)
        even = config.embed_dim % group == 0 and config.mlp_dim % along == 0 and group % along == 0
        if even and fsdp in (0, group // along):
            yield group // along, along


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"
