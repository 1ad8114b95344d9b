"""The two models of a run, and what must be true of them to be compared."""

from __future__ import annotations

import dataclasses
import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import jax

from jaxeap.models.families import read_model_config
from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from jaxeap.parallel.mesh import make_mesh
from jaxeap.pipeline.model_source import ModelSource, pair_sources
from jaxeap.tasks.selection import Role

ROLES: tuple[Role, ...] = get_args(Role)


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


def mesh_of(config: Mapping[str, Any]) -> jax.sharding.Mesh | None:
    """The devices of a run; None for one device."""
    fsdp, tensor = config["mesh"]["fsdp"], config["mesh"]["tensor"]
    return None if fsdp == tensor == 1 else make_mesh(fsdp=fsdp, tensor=tensor)


def load_next(source: ModelSource, dtype: str, mesh: jax.sharding.Mesh | None = None) -> Decoder:
    """Loads a model after the one before has left the memory, which may hold only one.

    The caller must have dropped it; a reference cycle would keep its weights until Python happens to look for cycles.
    """
    gc.collect()
    return load_model(source.folder, dtype=dtype, mesh=mesh, base=source.adapted)
