"""Devices that are not here, for which XLA compiles all the same: TPUs, NVIDIA GPUs, and any number of CPU devices.

What it compiles for them is what would run on them: it says how many bytes a device needs, and refuses what has no
room on a TPU. How fast that is only a device can say. TPUs need the package libtpu, GPUs need jax-cuda12-plugin and
nvidia-cuda-nvcc-cu12 (`requirements/ahead.txt` names all), and no driver.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
from collections.abc import Iterator
from unittest import mock

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from jaxeap.parallel.mesh import AXES, make_mesh

H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 device_memory_size: 85021163520
}
platform_name: "CUDA"
runtime_version { major: 12 minor: 9 patch: 0 }
dnn_version_info { major: 9 minor: 8 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
"""What XLA asks a GPU for when there is one, as NVIDIA publishes it (a `GpuTargetConfigProto` in text form)."""

NEEDS = {"cpu": (), "gpu": ("jax_plugins.xla_cuda12", "nvidia"), "tpu": ("libtpu",)}
"""Modules that compiling for a platform takes."""


def platform_of(devices: str) -> str:
    """ "cpu", "tpu" or "gpu" of devices as `absent_mesh` takes them."""
    kind = devices.partition(":")[0]
    return {"cpu": "cpu", "h100": "gpu"}.get(kind, "tpu")


def can_compile_for(devices: str) -> bool:
    """Whether the packages are there that compiling for these devices takes."""
    try:
        return all(importlib.util.find_spec(module) for module in NEEDS[platform_of(devices)])
    except ModuleNotFoundError:  # of the package that a module is in
        return False


def prepare(devices: str) -> None:
    """Tells JAX, before it looks for devices, that it runs on a CPU and what it is to compile for.

    Args:
      devices: as of `absent_mesh`.
    """
    jax.config.update("jax_platforms", "cpu")
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"  # Who has no TPU has no server that knows of it.
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"  # Nor can two programs want the same one.
    flags = {
        "cpu": f"--xla_force_host_platform_device_count={devices.partition(':')[2]}",
        "gpu": "--xla_gpu_autotune_level=0",  # There is none to try kernels on.
    }
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags.get(platform_of(devices), '')}".strip()


def absent_mesh(devices: str, sizes: tuple[int, int, int]) -> Mesh:
    """A mesh of (data, fsdp, tensor) over devices that need not be there; nothing can be put on them.

    Args:
      devices: "cpu:8"; "h100:8", in one machine; or a TPU slice by its name and shape, "v5e:2x4".
      sizes: of the mesh, which must be as many as there are devices.

    Raises:
      ValueError: they are not as many.
    """
    kind, _, count = devices.partition(":")
    if kind == "cpu":
        return make_mesh(*sizes)
    if kind == "h100":
        there = topologies.get_topology_desc(platform="cuda", topology=f"1x1x{count}", target_config=H100)
    else:
        there = topologies.get_topology_desc(platform="tpu", topology_name=devices)
    if len(there.devices) != math.prod(sizes):
        raise ValueError(f"a mesh of {' x '.join(map(str, sizes))} is not {len(there.devices)} devices ({devices})")
    return topologies.make_mesh(there, sizes, AXES)


@contextlib.contextmanager
def as_if_on(devices: str) -> Iterator[None]:
    """A context in which jaxeap takes the form of programs that these devices have (the cache lies otherwise)."""
    with mock.patch.object(jax, "default_backend", lambda: platform_of(devices)):
        yield
