"""Blocks of parameters: what part of a stored tensor holds a given part of a parameter, and the way back.

A checkpoint may be larger than the memory and one of its matrices may be too, so what reads or writes checkpoints does
it by blocks: an index (one `slice` for each axis of the parameter, layers and experts included) says which.
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
    """One tensor's part of a parameter, from the rows and columns that hold it and no others.

    Args:
      rule: the parameter's rule.
      config: the decoder's shape.
      stored: one of the rule's tensors.
      index: over the parameter's axes without those of layers and experts, as `full_index` gives it.

    Returns:
      The block in the stored dtype.
    """
    stored_axes, held_axes = _axes(rule)
    sizes = axis_sizes(config)
    wanted: dict[str, slice] = {}
    for axis, part in zip(held_axes, index, strict=True):
        wanted |= {axis[0]: part} if len(axis) == 1 else {letter: slice(0, sizes.get(letter)) for letter in axis}
    if (fused := rule.part) is not None:
        sizes |= {"p": fused[2]}
        wanted["p"] = slice(fused[0], fused[1])
    rows: list[slice] = []
    block_sizes: dict[str, int] = {}
    for lead, *inner in stored_axes:
        width = math.prod(sizes[letter] for letter in inner)
        rows.append(slice(wanted[lead].start * width, wanted[lead].stop * width))
        block_sizes |= {letter: sizes[letter] for letter in inner}
        block_sizes[lead] = wanted[lead].stop - wanted[lead].start
        wanted[lead] = slice(None)
    order = [letter for axis in stored_axes for letter in axis]
    stored_layout, _, held_layout = rule.layout.partition(" -> ")
    flat = einops.rearrange(read_slices(stored, tuple(rows)), f"{stored_layout} -> {' '.join(order)}", **block_sizes)
    flat = flat[tuple(wanted[letter] for letter in order)]  # what is inside a stored axis is cut only here
    block = einops.rearrange(flat, f"{' '.join(order)} -> {held_layout}")
    return block[tuple(slice(None) if len(a) == 1 else part for a, part in zip(held_axes, index, strict=True))]


def put_fused(rule: TensorRule, config: ModelConfig, parameter: np.ndarray, tensor: np.ndarray) -> None:
    """Writes one layer's parameter into its part of a whole stored tensor, in place."""
    start, stop, of = rule.part or (0, 1, 1)
    stored_axes, _ = _axes(rule)
    order = [letter for axis in stored_axes for letter in axis]
    _, _, held_layout = rule.layout.partition(" -> ")
    sizes = {letter: size for letter, size in axis_sizes(config).items() if letter in order} | {"p": of}
    whole = tensor.reshape([sizes[letter] for letter in order])  # a view: the order of a file is C's
    own = {letter: stop - start if letter == "p" else sizes[letter] for letter in order}
    flat = einops.rearrange(parameter, f"{held_layout} -> {' '.join(order)}", **own)
    whole[tuple(slice(start, stop) if letter == "p" else slice(None) for letter in order)] = flat


def to_rows(rule: TensorRule, block: np.ndarray) -> np.ndarray:
    """Rows of the stored tensor from a block as `block_indices` cuts them."""
    block = block[(0,) * rule.stacked_axes]
    stored, _, held = rule.layout.partition(" -> ")
    return np.ascontiguousarray(einops.rearrange(block, f"{held} -> {stored}"))


def block_shape(rule: TensorRule, shape: Sequence[int], itemsize: int, limit: int) -> tuple[int, ...]:
    """Shape of a parameter's blocks of at most `limit` bytes (one row of the tensor at least).

    A block is of one tensor, cut where needed along its first axis: the file is then read from its beginning to its
    end, and the blocks' `to_rows` one after the other are the tensor.

    Args:
      rule: the parameter's rule.
      shape: the parameter's, with the axes of layers and experts where it has them.
      itemsize: bytes of an entry.
      limit: bytes of a block.
    """
    block = [1] * rule.stacked_axes + list(shape[rule.stacked_axes :])
    cut = _cut(rule)
    if cut is None:
        return tuple(block)
    row = math.prod(block) // block[cut] * itemsize
    block[cut] = min(block[cut], max(1, limit // row))
    return tuple(block)


def block_indices(rule: TensorRule, shape: Sequence[int], block: Sequence[int]) -> Iterator[tuple[int, Index]]:
    """(number of the tensor in the rule's names, index into the parameter) of each block, tensor by tensor."""
    for place in range(math.prod(shape[: rule.stacked_axes])):
        for index in block_indices_of(rule, shape, block, place):
            yield place, index


def block_indices_of(rule: TensorRule, shape: Sequence[int], block: Sequence[int], place: int) -> Iterator[Index]:
    """Index into the parameter of each block of one tensor, whose number in the rule's names is `place`."""
    numbers = np.unravel_index(place, shape[: rule.stacked_axes])
    fixed = [slice(int(number), int(number) + 1) for number in numbers]
    cut = _cut(rule)
    for start in range(0, shape[cut], block[cut]) if cut is not None else (0,):
        index = [*fixed, *(slice(0, size) for size in shape[len(fixed) :])]
        if cut is not None:
            index[cut] = slice(start, min(start + block[cut], shape[cut]))
        yield tuple(index)


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
    numbered, inner = index[: rule.stacked_axes], index[rule.stacked_axes :]
    for place in np.ndindex(*out.shape[: rule.stacked_axes]):
        at = [axis.start + number for axis, number in zip(numbered, place, strict=True)]
        name = names[np.ravel_multi_index(at, shape[: rule.stacked_axes]) if at else 0]
        _copy(read_block(rule, config, tensors[name], inner), out[place])
    return out


def _copy(source: np.ndarray, out: np.ndarray) -> None:
    """out[...] = source, faster where the source is transposed: each line of the cache is written once."""
    if source.ndim < 2 or source.strides[-1] == source.itemsize:
        out[...] = source
        return
    step = 64 // out.itemsize
    for start in range(0, out.shape[-1], step):
        out[..., start : start + step] = source[..., start : start + step]


def _cut(rule: TensorRule) -> int | None:
    """The parameter's axis that leads the stored tensor; None where it is fused with others and must stay whole."""
    stored_axes, held_axes = _axes(rule)
    lead = [stored_axes[0][0]]
    return held_axes.index(lead) + rule.stacked_axes if lead in held_axes else None


def _axes(rule: TensorRule) -> tuple[list[list[str]], list[list[str]]]:
    """Letters of the stored axes and the parameter's: [[h, k], [d]], [[d], [h], [k]] of "(h k) d -> d h k"."""
    stored, held = (re.findall(r"\(([^)]*)\)|(\w+)", side) for side in rule.layout.split(" -> "))
    return [(a or b).split() for a, b in stored], [(a or b).split() for a, b in held]
