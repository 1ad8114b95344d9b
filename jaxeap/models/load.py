"""`load_model`: from a Hugging Face folder or a converted checkpoint to a decoder on its devices."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from jaxeap.models.families import read_model_config
from jaxeap.models.key_map import account, read_parameter
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import nest, parameter_specs
from jaxeap.models.safetensors_folder import list_tensors
from jaxeap.parallel.sharding import sharding_of

MANIFEST = "jaxeap_checkpoint.json"
"""Marks a converted checkpoint. It is written last: a folder that has it is whole."""


def load_model(path: str | Path, dtype: str | None = "float32", mesh: jax.sharding.Mesh | None = None) -> Decoder:
    """Loads a decoder.

    Args:
      path: a Hugging Face folder (config.json and safetensors) or a folder that `python -m checkpoint_convert` wrote.
      dtype: "float32", "bfloat16", "float16", or None for the stored one.
      mesh: devices to lay the parameters out over; None puts them on the default device.

    Returns:
      The decoder, each parameter restored straight into its dtype and sharding, one stacked parameter at a time.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: the configuration or the tensors are not what jaxeap knows; the message names each.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"model folder {folder} does not exist")
    config = read_model_config(folder)
    target = None if dtype is None else jnp.dtype(dtype)
    flat: dict[str, Any] = {}
    if (folder / MANIFEST).is_file():
        stored = json.loads((folder / MANIFEST).read_text())["parameters"]
        with ocp.StandardCheckpointer() as checkpointer:
            for name, spec in parameter_specs(config).items():
                if name not in stored:
                    raise ValueError(f"{folder / MANIFEST} lacks parameter {name}; convert the checkpoint again")
                wanted = target or jnp.dtype(stored[name]["dtype"])
                abstract = jax.ShapeDtypeStruct(spec.shape, wanted, sharding=sharding_of(spec.shape, spec.axes, mesh))
                place = parameter_folder(folder, name)
                flat[name] = checkpointer.restore(place.absolute(), {"array": abstract})["array"]
    else:
        tensors = list_tensors(folder)
        rules = account(config, tensors, str(folder))
        for name, spec in parameter_specs(config).items():
            array = read_parameter(rules[name], config, tensors, target)
            flat[name] = jax.device_put(array, sharding_of(spec.shape, spec.axes, mesh))
    return Decoder(config, nest(flat))


def parameter_folder(folder: Path, name: str) -> Path:
    """Where a converted checkpoint keeps the parameter with path `name`."""
    return folder / "parameters" / name.replace("/", ".")
