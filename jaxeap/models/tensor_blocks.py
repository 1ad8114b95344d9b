"""Blocks of parameters: what part of a stored tensor holds a given part of a parameter, and the way back.

A checkpoint may be larger than the memory and one of its matrices may be too, so what reads or writes checkpoints does
it by blocks: an index (one `slice` for each axis of the parameter, the layer axis included) says which.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

import einops
import numpy as np

from jaxeap.models.config import ModelConfig
from jaxeap.models.families import TensorRule
from jaxeap.models.families.family import axis_sizes
from jaxeap.models.safetensors_folder import StoredTensor, read_slices

Index = tuple[slice, ...]


def full_index(index: Sequence[slice], shape: Sequence[int]) -> Index:
    """The index with every start and stop written out.

    Raises:
      ValueError: a slice has a step, or there is not one slice for each axis.
    """
    if len(index) != len(shape) or any(part.step not in (None, 1) for part in index):
        raise ValueError(f"index {index} must have one slice without a step for each axis of {tuple(shape)}")
    return tuple(slice(*part.indices(size)[:2]) for part, size in zip(index, shape, strict=True))


def read_block(rule: TensorRule, config: ModelConfig, stored: StoredTensor, index: Index) -> np.ndarray:
    """One layer's part of a parameter, from the rows and columns of the stored tensor that hold it and no others.

    Args:
      rule: the parameter's rule.
      config: the decoder's shape.
      stored: one of the rule's tensors.
      index: over the parameter's axes without the layer axis, as `full_index` gives it.

    Returns:
      The block in the stored dtype.
    """
    groups, letters = _axes(rule)
    sizes = axis_sizes(config)
    wanted = dict(zip(letters, index, strict=True))
    rows: list[slice] = []
    block_sizes: dict[str, int] = {}
    for lead, *inner in groups:
        width = math.prod(sizes[letter] for letter in inner)
        rows.append(slice(wanted[lead].start * width, wanted[lead].stop * width))
        block_sizes |= {letter: sizes[letter] for letter in inner}
        block_sizes[lead] = wanted[lead].stop - wanted[lead].start
        wanted[lead] = slice(None)
    block = einops.rearrange(read_slices(stored, tuple(rows)), rule.layout, **block_sizes)
    return block[tuple(wanted[letter] for letter in letters)]  # what is inside a group is cut only here


def to_rows(rule: TensorRule, block: np.ndarray) -> np.ndarray:
    """Rows of the stored tensor from a block as `block_indices` cuts them."""
    block = block[0] if is_stacked(rule) else block
    stored, _, held = rule.layout.partition(" -> ")
    return np.ascontiguousarray(einops.rearrange(block, f"{held} -> {stored}"))


def block_shape(rule: TensorRule, shape: Sequence[int], itemsize: int, limit: int) -> tuple[int, ...]:
    """Shape of a parameter's blocks of at most `limit` bytes (one row of the tensor at least).

    A block is one layer's, cut where needed along the stored tensor's first axis: the file is then read from its
    beginning to its end, and the blocks' `to_rows` one after the other are the tensor.

    Args:
      rule: the parameter's rule.
      shape: the parameter's, with the layer axis where it has one.
      itemsize: bytes of an entry.
      limit: bytes of a block.
    """
    groups, letters = _axes(rule)
    block = [1, *shape[1:]] if is_stacked(rule) else list(shape)
    cut = letters.index(groups[0][0]) + is_stacked(rule)
    row = math.prod(block) // block[cut] * itemsize
    block[cut] = min(block[cut], max(1, limit // row))
    return tuple(block)


def block_indices(rule: TensorRule, shape: Sequence[int], block: Sequence[int]) -> Iterator[tuple[int, Index]]:
    """(number of the tensor in the rule's names, index into the parameter) of each block, tensor by tensor."""
    groups, letters = _axes(rule)
    cut = letters.index(groups[0][0]) + is_stacked(rule)
    for layer in range(shape[0] if is_stacked(rule) else 1):
        for start in range(0, shape[cut], block[cut]):
            index = [slice(0, size) for size in shape]
            index[cut] = slice(start, min(start + block[cut], shape[cut]))
            if is_stacked(rule):
                index[0] = slice(layer, layer + 1)
            yield layer, tuple(index)


def read_index(
    rule: TensorRule,
    config: ModelConfig,
    tensors: Mapping[str, StoredTensor],
    shape: Sequence[int],
    index: Sequence[slice],
    dtype: np.dtype,
) -> np.ndarray:
    """Any part of a stacked parameter, cast to `dtype`, tensor by tensor.

    Args:
      rule: the parameter's rule.
      config: the decoder's shape.
      tensors: the checkpoint's tensors.
      shape: the parameter's.
      index: which part.
      dtype: of the result.
    """
    index = full_index(index, shape)
    names = rule.tensor_names(config)
    out = np.empty([part.stop - part.start for part in index], dtype)
    if not is_stacked(rule):
        _copy(read_block(rule, config, tensors[names[0]], index), out)
        return out
    layers, *inner = index
    for place, layer in enumerate(range(layers.start, layers.stop)):
        _copy(read_block(rule, config, tensors[names[layer]], tuple(inner)), out[place])
    return out


def _copy(source: np.ndarray, out: np.ndarray) -> None:
    """out[...] = source, faster where the source is transposed: each line of the cache is written once."""
    if source.ndim < 2 or source.strides[-1] == source.itemsize:
        out[...] = source
        return
    step = 64 // out.itemsize
    for start in range(0, out.shape[-1], step):
        out[..., start : start + step] = source[..., start : start + step]


def is_stacked(rule: TensorRule) -> bool:
    """Whether the parameter has a layer axis in front, and a tensor for each layer."""
    return "{layer}" in rule.name


def _axes(rule: TensorRule) -> tuple[list[list[str]], list[str]]:
    """Letters of the stored tensor's axes and of the parameter's: "(h k) d -> d h k" is [[h, k], [d]], [d, h, k]."""
    stored, _, held = rule.layout.partition(" -> ")
    groups = [(inside or single).split() for inside, single in re.findall(r"\(([^)]*)\)|(\w+)", stored)]
    return groups, held.split()
