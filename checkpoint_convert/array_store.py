"""One parameter on disk: an Orbax checkpoint {"array": ...} whose array is written and read block by block.

Orbax saves whole arrays alone, and needs two to five times an array's bytes while it does. So Orbax makes the
checkpoint around an empty place-holder, and TensorStore, which Orbax stores arrays with, puts the array there.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orbax.checkpoint as ocp
import tensorstore

ARRAY = "array"


def create_array(folder: Path, shape: Sequence[int], dtype: np.dtype, chunk: Sequence[int]) -> tensorstore.TensorStore:
    """Makes the checkpoint `folder` (which must not exist yet) and opens its array for writing.

    A write that covers whole chunks reads nothing back, and holds in memory what is being compressed.
    """
    _create_empty(folder)
    metadata = {
        "zarr_format": 2,
        "shape": list(shape),
        "chunks": list(chunk),
        "dtype": _zarr_dtype(dtype),
        "compressor": {"id": "zstd", "level": 1},
        "fill_value": None,
        "filters": None,
        "order": "C",
        "dimension_separator": ".",
    }
    store = {"driver": "zarr", "kvstore": _location(folder), "metadata": metadata}
    return tensorstore.open(store, create=True, delete_existing=True, context=_context()).result()


def open_array(folder: Path) -> tensorstore.TensorStore:
    """Opens the array of a checkpoint that `create_array` made; `store[index].read().result()` reads a block of it.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is damaged.
    """
    if not (folder / ARRAY).is_dir():
        raise FileNotFoundError(f"{folder / ARRAY} is missing; convert the checkpoint again")
    try:
        store = {"driver": "zarr", "kvstore": _location(folder)}
        return tensorstore.open(store, open=True, read=True, context=_context()).result()
    except ValueError as error:
        raise ValueError(f"{folder / ARRAY} is damaged ({error}); convert the checkpoint again") from error


def _create_empty(folder: Path) -> None:
    """What Orbax writes beside the array (it holds neither shape nor dtype)."""
    quiet = logging.getLogger("absl")
    level = quiet.level
    quiet.setLevel(logging.ERROR)  # it warns of having nothing to merge, which is what was asked for
    try:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=False)) as checkpointer:
            checkpointer.save(folder.absolute(), args=ocp.args.PyTreeSave({ARRAY: np.zeros(1, np.float32)}))
    finally:
        quiet.setLevel(level)
    shutil.rmtree(folder / ARRAY)


def _location(folder: Path) -> dict[str, str]:
    return {"driver": "file", "path": f"{(folder / ARRAY).absolute()}/"}


def _context() -> tensorstore.Context:
    """No cache, and one chunk after the other: each one in flight is held several times over."""
    return tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}, "data_copy_concurrency": {"limit": 1}})


def _zarr_dtype(dtype: np.dtype) -> str:
    return "bfloat16" if dtype.name == "bfloat16" else dtype.str
