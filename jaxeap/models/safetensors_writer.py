"""Writing of safetensors files that are larger than the memory: the header first, then the tensors piece by piece.

The safetensors library writes whole dictionaries of arrays. The format is a length (8 bytes, little-endian), a JSON
header with dtype, shape and place of each tensor, and the tensors' bytes:
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxeap.models.safetensors_folder import INDEX_FILE, NUMPY_DTYPES, SINGLE_FILE

SHARD_BYTES = 5 * 10**9
"""Of one file, as in transformers' `save_pretrained`."""


@dataclasses.dataclass(frozen=True)
class TensorToWrite:
    """One tensor: its name, shape and dtype, and its entries as blocks that follow one another in C order."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Iterable[np.ndarray]

    @property
    def num_bytes(self) -> int:
        """Of all entries."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_checkpoint_files(folder: Path, tensors: Sequence[TensorToWrite], shard_bytes: int = SHARD_BYTES) -> None:
    """Writes model.safetensors, or shards of at most `shard_bytes` (one tensor at least) with an index.

    Args:
      folder: exists.
      tensors: in the order in which to write them; of each, one block is in memory at a time.
      shard_bytes: where another file begins.

    Raises:
      ValueError: a tensor's blocks do not add up to its shape and dtype, or its dtype has no name in the format.
    """
    shards: list[list[TensorToWrite]] = [[]]
    for tensor in tensors:
        if shards[-1] and sum(other.num_bytes for other in shards[-1]) + tensor.num_bytes > shard_bytes:
            shards.append([])
        shards[-1].append(tensor)
    if len(shards) == 1:
        write_safetensors(folder / SINGLE_FILE, shards[0])
        return
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_safetensors(folder / file, shard)
        weight_map |= {tensor.name: file for tensor in shard}
    total = sum(tensor.num_bytes for tensor in tensors)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n")


def write_safetensors(path: Path, tensors: Sequence[TensorToWrite]) -> None:
    """Writes one file; errors as of `write_checkpoint_files`."""
    names: Mapping[np.dtype, str] = {np.dtype(dtype): name for name, dtype in NUMPY_DTYPES.items()}
    # Wider entries first, so that every tensor begins at a multiple of its entries' size.
    tensors = sorted(tensors, key=lambda tensor: -tensor.dtype.itemsize)
    # transformers refuses files that do not name their tensors' framework, and knows no other name for this layout.
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    place = 0
    for tensor in tensors:
        if tensor.dtype not in names:
            raise ValueError(f"{tensor.name} is {tensor.dtype}, must be one of {', '.join(map(str, names))}")
        ends = [place, place + tensor.num_bytes]
        header[tensor.name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": ends}
        place += tensor.num_bytes
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as file:
        file.write(len(encoded).to_bytes(8, "little"))
        file.write(encoded)
        for tensor in tensors:
            written = 0
            for block in tensor.blocks:
                if block.dtype != tensor.dtype:
                    raise ValueError(f"{tensor.name} is to be {tensor.dtype} and has a block of {block.dtype}")
                # As bytes: NumPy hands out no buffer of bfloat16.
                written += file.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
            if written != tensor.num_bytes:
                raise ValueError(f"{tensor.name} has {written} bytes in its blocks, {tensor.num_bytes} by its shape")
