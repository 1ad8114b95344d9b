"""The way back: a Hugging Face folder from a converted checkpoint, tensor by tensor."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import tensorstore

from checkpoint_convert.array_store import open_array
from checkpoint_convert.companions import copy_companions
from checkpoint_convert.plan import BLOCK_BYTES
from checkpoint_convert.progress import bytes_progress
from jaxeap.models.config import ModelConfig
from jaxeap.models.families import FAMILIES, TensorRule, read_model_config
from jaxeap.models.manifest import MANIFEST, ManifestEntry, parameter_folder, read_manifest
from jaxeap.models.parameters import parameter_specs
from jaxeap.models.safetensors_writer import SHARD_BYTES, TensorToWrite, write_checkpoint_files
from jaxeap.models.tensor_blocks import block_indices_of, block_shape, put_fused, to_rows

UNFINISHED = "export.unfinished"
"""In an unfinished target, so that the next run knows that it may remove it."""


def to_hugging_face(source: str | Path, target: str | Path, shard_bytes: int = SHARD_BYTES) -> None:
    """Writes the converted checkpoint in `source` to the new folder `target`, which transformers loads.

    Every tensor has the bits that are stored; `target` appears when all are written, as in `convert`.

    Args:
      source: a folder that `convert` wrote.
      target: a folder that does not exist yet.
      shard_bytes: of one safetensors file at most (one tensor at least).

    Raises:
      FileExistsError: `target` exists, or `target`.partial exists and no export made it.
      FileNotFoundError: `source` or a part of it is missing.
      ValueError: `source` is no converted checkpoint, or its manifest and config.json disagree.
    """
    source, target = Path(source), Path(target)
    if target.exists():
        raise FileExistsError(f"target {target} exists already; remove it, or name another one")
    if not source.is_dir():
        raise FileNotFoundError(f"source folder {source} does not exist")
    if not (source / MANIFEST).is_file():
        raise ValueError(f"source {source} is no converted checkpoint ({MANIFEST} is not there)")
    config, entries = read_model_config(source), read_manifest(source)
    held, needed = {name: entry.shape for name, entry in entries.items()}, _shapes(config)
    if held != needed:
        differing = sorted(name for name in held | needed if held.get(name) != needed.get(name))
        raise ValueError(f"{source / MANIFEST} and config.json beside it disagree in {', '.join(differing)}")

    partial = target.with_name(target.name + ".partial")
    if partial.exists():
        if not (partial / UNFINISHED).is_file() and any(partial.iterdir()):
            raise FileExistsError(f"{partial} exists and no export made it; remove it, or name another target")
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    (partial / UNFINISHED).touch()
    copy_companions(source, partial)
    _state_dtype(partial / "config.json", {entry.dtype for entry in entries.values()})
    rules = list(FAMILIES[config.family].tensors(config))
    plain = (rule for rule in rules if rule.part is None)
    tensors = [tensor for rule in plain for tensor in _tensors(rule, config, source, entries[rule.parameter])]
    for name in {rule.name: None for rule in rules if rule.part is not None}:
        tensors += _fused_tensors([rule for rule in rules if rule.name == name], config, source, entries)
    with bytes_progress(target.name, sum(tensor.num_bytes for tensor in tensors)) as advance:
        told = [TensorToWrite(each.name, each.shape, each.dtype, _telling(each, advance)) for each in tensors]
        write_checkpoint_files(partial, told, shard_bytes)
    (partial / UNFINISHED).unlink()
    partial.rename(target)


def _shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    return {name: spec.shape for name, spec in parameter_specs(config).items()}


def _tensors(rule: TensorRule, config: ModelConfig, source: Path, entry: ManifestEntry) -> Iterator[TensorToWrite]:
    store = _open(rule, source, entry)
    dtype = store.dtype.numpy_dtype
    block = block_shape(rule, entry.shape, dtype.itemsize, BLOCK_BYTES)

    def rows(place: int) -> Iterator[np.ndarray]:
        for index in block_indices_of(rule, entry.shape, block, place):
            yield to_rows(rule, np.asarray(store[index].read().result()))

    for place, name in enumerate(rule.tensor_names(config)):
        yield TensorToWrite(name, rule.tensor_shape(config), dtype, rows(place))


def _fused_tensors(
    rules: list[TensorRule], config: ModelConfig, source: Path, entries: Mapping[str, ManifestEntry]
) -> Iterator[TensorToWrite]:
    """Tensors that several parameters share, put together one tensor at a time."""
    stores = [_open(rule, source, entries[rule.parameter]) for rule in rules]
    first, shape = rules[0], rules[0].tensor_shape(config)
    dtype = stores[0].dtype.numpy_dtype

    def whole(place: int) -> Iterator[np.ndarray]:
        tensor = np.empty(shape, dtype)
        for rule, store in zip(rules, stores, strict=True):
            put_fused(rule, config, np.asarray(store[place].read().result()), tensor)
        yield tensor

    for place, name in enumerate(first.tensor_names(config)):
        yield TensorToWrite(name, shape, dtype, whole(place))


def _open(rule: TensorRule, source: Path, entry: ManifestEntry) -> tensorstore.TensorStore:
    store = open_array(parameter_folder(source, rule.parameter))
    dtype = store.dtype.numpy_dtype
    if (store.shape, str(dtype)) != (entry.shape, entry.dtype):
        raise ValueError(
            f"{rule.parameter} is stored as {store.shape} {dtype}, and {source / MANIFEST} says {entry.shape} "
            f"{entry.dtype}; convert the checkpoint again"
        )
    return store


def _telling(tensor: TensorToWrite, advance: Callable[[str, int], None]) -> Iterator[np.ndarray]:
    for block in tensor.blocks:
        advance(tensor.name, block.nbytes)
        yield block


def _state_dtype(path: Path, dtypes: set[str]) -> None:
    """Where the conversion changed the dtype, config.json must say so: transformers loads in the one that it names."""
    attributes = json.loads(path.read_text())
    stated = {name: attributes[name] for name in ("dtype", "torch_dtype") if name in attributes}
    if len(dtypes) == 1 and any(value not in dtypes for value in stated.values()):
        path.write_text(json.dumps(attributes | dict.fromkeys(stated, *dtypes), indent=2) + "\n")
