"""The two models of a run, and what must be true of them to be compared."""

from __future__ import annotations

import dataclasses
import gc
from typing import get_args

from jaxeap.models.families import read_model_config
from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from jaxeap.tasks.selection import Role

ROLES: tuple[Role, ...] = get_args(Role)


def require_same_architecture(base_folder: str, tuned_folder: str) -> None:
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


def load_next(folder: str, dtype: str) -> Decoder:
    """Loads a model after the one before has left the memory, which may hold only one.

    The caller must have dropped it; a reference cycle would keep its weights until Python happens to look for cycles.
    """
    gc.collect()
    return load_model(folder, dtype=dtype)
