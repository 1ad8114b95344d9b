"""The two models of a run, and what must be true of them to be compared."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import jax

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import read_model_config
from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from jaxeap.parallel.automatic import MeshSizes, choose_mesh, device_bytes, weight_bytes
from jaxeap.parallel.mesh import AXES, make_mesh
from jaxeap.pipeline.inputs.model_source import ModelSource, pair_sources
from jaxeap.tasks.selection import Role

ROLES: tuple[Role, ...] = get_args(Role)
USABLE = 0.92
"""Share of a device's memory that a run may use; the rest is the runtime's."""


def sources_of(config: Mapping[str, Any]) -> dict[Role, ModelSource]:
    """Where the models of a run lie; errors as of `pair_sources`."""
    return dict(zip(ROLES, pair_sources(config["base"], config["tuned"], config["adapter_base"]), strict=True))


def require_same_architecture(base_folder: str | Path, tuned_folder: str | Path) -> None:
    """Refuses models that have not the same nodes: their edges could not be told apart one by one.

    What leaves the graph as it is may differ: the vocabulary's size (padded or extended in training), RoPE, epsilon.

    Raises:
      FileNotFoundError, ValueError: a config.json is missing or not supported, or the two describe different shapes.
    """
    base, tuned = (dataclasses.asdict(read_model_config(folder)) for folder in (base_folder, tuned_folder))
    shape = ("num_layers", "num_heads", "num_kv_heads", "head_dim", "embed_dim", "mlp_dim", "num_experts")
    if different := [f"{name} {base[name]} and {tuned[name]}" for name in shape if base[name] != tuned[name]]:
        raise ValueError(
            f"base ({base_folder}) and tuned ({tuned_folder}) are not two states of one model: {', '.join(different)}; "
            "give the checkpoint that training started from as the base"
        )


def mesh_sizes(config: Mapping[str, Any], shape: ModelConfig | None = None) -> MeshSizes:
    """The mesh of a run: as it is set, and chosen by what the models take where it is 0.

    Devices of a CPU share one memory and one set of cores, so of them only what is set is used.

    Args:
      config: the settings.
      shape: of the larger model; None reads it.

    Raises:
      FileNotFoundError, ValueError: a model's config.json cannot be used; what is set needs more devices than there
        are.
    """
    data, fsdp, tensor = given = tuple(config["mesh"][axis] for axis in AXES)
    if 0 not in given:
        return MeshSizes(data, fsdp, tensor, "as set")
    if jax.default_backend() == "cpu":
        return MeshSizes(data or 1, fsdp or 1, tensor or 1, "the devices of a CPU share its memory and cores")
    if shape is None:
        shapes = [read_model_config(source.model_folder) for source in sources_of(config).values()]
        shape = max(shapes, key=lambda shape: weight_bytes(shape, config["dtype"]))
    rows = max(config["attribution"]["batch_size"], config["sampling"]["batch_size"])
    usable = USABLE * device_bytes(config["plan"]["device_gb"])[0]
    return choose_mesh(shape, config["dtype"], jax.device_count(), usable, rows, given)


def mesh_of(config: Mapping[str, Any]) -> jax.sharding.Mesh | None:
    """The devices of a run, of `mesh_sizes`; None for one device."""
    sizes = mesh_sizes(config)
    return None if sizes.devices == 1 else make_mesh(sizes.data, sizes.fsdp, sizes.tensor)


def load_next(source: ModelSource, dtype: str, mesh: jax.sharding.Mesh | None = None) -> Decoder:
    """Loads a model after the one before has left the memory, which may hold only one.

    The caller must have dropped it; a reference cycle would keep its weights until Python happens to look for cycles.
    """
    gc.collect()
    return load_model(source.folder, dtype=dtype, mesh=mesh, base=source.adapted)
