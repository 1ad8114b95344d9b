"""Distances between floating-point numbers in rounding steps, and which dtype to count them in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

_INTEGERS: Mapping[int, Any] = MappingProxyType({2: np.int16, 4: np.int32})
_COARSEST_FIRST = ("bfloat16", "float16", "float32")


def rounding_steps(one: npt.NDArray, other: npt.NDArray) -> npt.NDArray[np.int64]:
    """How many representable numbers lie between each pair of entries, one of the two included.

    0 where they are equal (-0 and 0 are), 1 between neighbours. NaN stands beyond the infinities.

    Args:
      one, other: of one shape and dtype, of 16 or 32 bits.

    Raises:
      ValueError: their shapes or dtypes differ.
    """
    if one.dtype != other.dtype or one.shape != other.shape:
        raise ValueError(f"{one.shape} {one.dtype} and {other.shape} {other.dtype} cannot be compared")
    return np.abs(_place(one) - _place(other))


def common_dtype(*dtypes: Any) -> np.dtype:
    """The coarsest of the dtypes, in significant bits: what both checkpoints can tell apart.

    Raises:
      ValueError: one of them is none of bfloat16, float16 and float32.
    """
    names = {jnp.dtype(dtype).name for dtype in dtypes}
    if unknown := names - set(_COARSEST_FIRST):
        raise ValueError(f"dtype {', '.join(sorted(unknown))} is none of {', '.join(_COARSEST_FIRST)}")
    return jnp.dtype(next(name for name in _COARSEST_FIRST if name in names))


def _place(array: npt.NDArray) -> npt.NDArray[np.int64]:
    """Each entry's place among all numbers of its dtype, in their order, with 0 and -0 at place 0."""
    bits = np.ascontiguousarray(array).view(_INTEGERS[array.dtype.itemsize]).astype(np.int64)
    lowest = -(2 ** (8 * array.dtype.itemsize - 1))  # the bits of -0
    return np.where(bits < 0, lowest - bits, bits)
