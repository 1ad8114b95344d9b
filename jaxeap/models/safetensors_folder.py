"""A Hugging Face folder of safetensors, single-file or sharded with an index, read tensor by tensor without torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open

SINGLE_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
NUMPY_DTYPES: Mapping[str, Any] = MappingProxyType({"F32": np.float32, "BF16": jnp.bfloat16, "F16": np.float16})
"""The stored dtypes that a decoder can be made of, as safetensors names them."""


@dataclasses.dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies: its name, file and shape, and its dtype as safetensors writes it ("F32", "BF16", ...).

    `update` is what an adapter adds to it; such a tensor is read as float32, the sum not yet rounded.
    """

    name: str
    file: Path
    shape: tuple[int, ...]
    dtype: str
    update: LowRankUpdate | None = None


@dataclasses.dataclass(frozen=True)
class LowRankUpdate:
    """scale * B A, or its transpose: a [rank, inputs], b [outputs, rank]."""

    a: StoredTensor
    b: StoredTensor
    scale: float
    transposed: bool = False


def list_tensors(folder: str | Path) -> dict[str, StoredTensor]:
    """Every tensor of the checkpoint in `folder`, from the files' headers alone.

    Raises:
      FileNotFoundError: there are no safetensors, or the index names a file that is missing.
      ValueError: the index is no index; or a file is truncated or corrupt, holds a tensor that another one holds too,
        or does not hold what the index says, with all such findings in one message.
    """
    folder = Path(folder)
    index_path, single = folder / INDEX_FILE, folder / SINGLE_FILE
    indexed: Mapping[str, str] = {}
    if single.is_file():  # transformers looks for it first, too, where both are there
        files = [single]
    elif index_path.is_file():
        indexed = _read_index(index_path)
        files = sorted({folder / name for name in indexed.values()})
    else:
        remedy = ""
        if list(folder.glob("pytorch_model*.bin")):
            remedy = (
                "; pytorch_model.bin is a pickle, which jaxeap does not open: load it with transformers and save it "
                "again with save_pretrained(folder, safe_serialization=True)"
            )
        raise FileNotFoundError(f"{folder} holds neither {SINGLE_FILE} nor {INDEX_FILE}{remedy}")
    if missing := [str(file) for file in files if not file.is_file()]:
        raise FileNotFoundError(f"{index_path} names files that are missing: {', '.join(missing)}; download them again")

    tensors: dict[str, StoredTensor] = {}
    problems = []
    for file in files:
        try:
            found = list_file(file)
        except ValueError as error:
            problems.append(str(error))
            continue
        problems += [
            f"{name} lies in both {tensors[name].file.name} and {file.name}" for name in found if name in tensors
        ]
        tensors |= found
    if not problems:
        problems = [
            f"{INDEX_FILE} says that {name} lies in {file_name}, and it does not"
            for name, file_name in indexed.items()
            if name not in tensors or tensors[name].file.name != file_name
        ]
    if problems:
        raise ValueError(f"{folder}: " + "; ".join(problems))
    return tensors


def list_file(file: Path) -> dict[str, StoredTensor]:
    """Every tensor of one file.

    Raises:
      ValueError: the file is truncated or corrupt.
    """
    try:
        with safe_open(file, framework="np") as opened:
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 (safe_open is no mapping)
            return {
                name: StoredTensor(name, file, tuple(stored.get_shape()), stored.get_dtype())
                for name, stored in slices.items()
            }
    except SafetensorError as error:
        raise ValueError(f"{file} is truncated or corrupt ({error}); download it again") from error


def read_tensor(stored: StoredTensor) -> np.ndarray:
    """The tensor in its stored dtype (bfloat16 as `ml_dtypes.bfloat16`), or as float32 where it has an update."""
    return read_slices(stored, tuple(slice(0, size) for size in stored.shape))


def read_slices(stored: StoredTensor, index: tuple[slice, ...]) -> np.ndarray:
    """Part of the tensor as `read_tensor` gives it; of the file, nothing else is copied into memory."""
    with safe_open(stored.file, framework="np") as opened:
        part = opened.get_slice(stored.name)[index]
    if stored.update is None:
        return part
    update = stored.update
    rows, columns = reversed(index) if update.transposed else index
    a = read_slices(update.a, (slice(0, update.a.shape[0]), columns)).astype(np.float32)
    b = read_slices(update.b, (rows, slice(0, update.b.shape[1]))).astype(np.float32)
    change = np.float32(update.scale) * (b @ a)
    return part.astype(np.float32) + (change.T if update.transposed else change)


def same_values(one: StoredTensor, other: StoredTensor, rows: int = 4096) -> bool:
    """Whether two matrices are stored in one shape and dtype and agree in every entry; reads `rows` at a time."""
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    with safe_open(one.file, framework="np") as one_file, safe_open(other.file, framework="np") as other_file:
        one_slice, other_slice = one_file.get_slice(one.name), other_file.get_slice(other.name)
        return all(
            np.array_equal(one_slice[start:stop], other_slice[start:stop])
            for start in range(0, one.shape[0], rows)
            for stop in (min(start + rows, one.shape[0]),)
        )


def _is_bare(name: str) -> bool:
    """Whether it is a file's name without a folder, on any system: no checkpoint says where else to read."""
    return name not in ("", ".", "..") and not set(name) & set("/\\:\0")


def _read_index(path: Path) -> Mapping[str, str]:
    """Tensor name -> file name."""
    try:
        index = json.loads(path.read_text())["weight_map"]
        if not all(isinstance(name, str) for name in index.values()):
            raise TypeError("weight_map must map names of tensors to names of files")
        if outside := [name for name in index.values() if not _is_bare(name)]:
            raise TypeError(f"weight_map names {outside[0]!r}, which is not the name of a file beside it")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} is not an index of safetensors ({type(error).__name__}: {error}); download it again"
        ) from error
    return index
