"""`load_model`: from a Hugging Face folder or a converted checkpoint to a decoder on its devices."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from jaxeap.models.checkpoint import Checkpoint, open_checkpoint
from jaxeap.models.config import ModelConfig
from jaxeap.models.families import TensorRule, read_model_config
from jaxeap.models.key_map import account, read_parameter, stored_dtype
from jaxeap.models.manifest import MANIFEST, PARAMETERS, parameter_folder, read_manifest
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import nest, parameter_dtype, parameter_specs
from jaxeap.models.safetensors_folder import StoredTensor
from jaxeap.models.tensor_blocks import full_index
from jaxeap.parallel.sharding import sharding_of


def load_model(
    path: str | Path,
    dtype: str | None = "float32",
    mesh: jax.sharding.Mesh | None = None,
    base: str | Path | None = None,
) -> Decoder:
    """Loads a decoder.

    Args:
      path: a Hugging Face folder (config.json and safetensors) or a folder that `python -m checkpoint_convert` wrote,
        or a LoRA adapter in PEFT's format, which is merged into its base model.
      dtype: "float32", "bfloat16", "float16", or None for the stored one.
      mesh: devices to lay the parameters out over; None puts them on the default device.
      base: Hugging Face folder of an adapter's base model; None takes the folder that the adapter names.

    Returns:
      The decoder, each parameter restored straight into its dtype and sharding, one stacked parameter at a time.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: the configuration or the tensors are not what jaxeap knows; the message names each.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(f"model folder {folder} does not exist")
    target = None if dtype is None else parameter_dtype(dtype)
    whole = (folder / MANIFEST).is_file()
    if not whole and (folder / PARAMETERS).is_dir():
        raise ValueError(f"{folder} is what an interrupted conversion left, without {MANIFEST}; convert again")
    if not whole:
        checkpoint = open_checkpoint(folder, base)
        return Decoder(checkpoint.config, nest(_read_safetensors(checkpoint, target, mesh)))
    if base is not None:
        raise ValueError(f"base {base} was given, but {folder} is a converted checkpoint, which is whole without one")
    config = read_model_config(folder)
    return Decoder(config, nest(_read_converted(folder, config, target, mesh)))


def check_files(path: str | Path, base: str | Path | None = None) -> None:
    """Raises what `load_model` would, as far as the headers of a Hugging Face folder's files show it; reads no weight.

    A converted checkpoint is left to `load_model`: its manifest says that it is whole.
    """
    folder = Path(path)
    if not (folder / MANIFEST).is_file() and not (folder / PARAMETERS).is_dir():
        _rules_of(open_checkpoint(folder, base))


def _rules_of(checkpoint: Checkpoint) -> dict[str, TensorRule]:
    return account(checkpoint.config, checkpoint.tensors, " with ".join(map(str, checkpoint.folders)))


def _read_safetensors(
    checkpoint: Checkpoint, dtype: np.dtype | None, mesh: jax.sharding.Mesh | None
) -> dict[str, jax.Array]:
    config, tensors = checkpoint.config, checkpoint.tensors
    rules = _rules_of(checkpoint)
    return {
        name: _place(rules[name], config, tensors, dtype, sharding_of(spec.shape, spec.axes, mesh))
        for name, spec in parameter_specs(config).items()
    }


def _place(
    rule: TensorRule,
    config: ModelConfig,
    tensors: Mapping[str, StoredTensor],
    dtype: np.dtype | None,
    sharding: jax.sharding.Sharding,
) -> jax.Array:
    """One parameter on its devices: each part is read from the files once, and only by a process that needs it."""
    shape = parameter_specs(config)[rule.parameter].shape
    dtype = stored_dtype(rule, config, tensors) if dtype is None else dtype
    read: dict[tuple[tuple[int, int], ...], np.ndarray] = {}

    def part(index: tuple[slice, ...] | None) -> np.ndarray:
        index = full_index(index or (), shape)
        key = tuple((axis.start, axis.stop) for axis in index)  # JAX asks anew for each replica
        if key not in read:
            read[key] = read_parameter(rule, config, tensors, dtype, index)
        return read[key]

    return jax.make_array_from_callback(shape, sharding, part, dtype=dtype)


def _read_converted(
    folder: Path, config: ModelConfig, dtype: np.dtype | None, mesh: jax.sharding.Mesh | None
) -> dict[str, jax.Array]:
    entries, specs = read_manifest(folder), parameter_specs(config)
    held = {name: entry.shape for name, entry in entries.items()}
    wanted = {name: spec.shape for name, spec in specs.items()}
    if held != wanted:
        differing = sorted(name for name in held | wanted if held.get(name) != wanted.get(name))
        listed = ", ".join(f"{name} (stored: {held.get(name)}, needed: {wanted.get(name)})" for name in differing)
        raise ValueError(f"{folder / MANIFEST} and config.json beside it disagree: {listed}; convert again")
    flat = {}
    with ocp.StandardCheckpointer() as checkpointer:
        for name, spec in specs.items():
            abstract = jax.ShapeDtypeStruct(
                spec.shape,
                parameter_dtype(entries[name].dtype) if dtype is None else dtype,
                sharding=sharding_of(spec.shape, spec.axes, mesh),
            )
            place = parameter_folder(folder, name).absolute()
            if not place.is_dir():
                raise FileNotFoundError(f"{place} is missing, although {MANIFEST} lists it; convert again")
            flat[name] = checkpointer.restore(place, {"array": abstract})["array"]
    return flat
