"""Rounding steps, against NumPy's own neighbours."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.weights.rounding import common_dtype, rounding_steps

DTYPES = [np.float32, np.float16, jnp.bfloat16]


@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_along_the_numbers(dtype):
    """From any number, n times to its neighbour are n steps: over powers of two, and through zero."""
    for start in (1.0, -1.0, 0.0, -3.5, 1e-7):
        first = np.asarray([start], dtype)
        here = first
        for count in range(1, 6):
            here = np.nextafter(here, np.asarray([-np.inf], dtype))
            assert rounding_steps(first, here) == rounding_steps(here, first) == [count]


@pytest.mark.parametrize("dtype", DTYPES)
def test_both_zeros_are_one(dtype):
    zeros = np.asarray([0.0, -0.0], dtype)
    assert rounding_steps(zeros, zeros[::-1]).tolist() == [0, 0]
    tiny = np.nextafter(np.asarray([0.0], dtype), np.asarray([1.0], dtype))
    assert rounding_steps(tiny, -tiny).tolist() == [2]


def test_a_doubling_is_as_many_steps_as_the_mantissa_has():
    for dtype, bits in ((np.float32, 23), (np.float16, 10), (jnp.bfloat16, 7)):
        assert rounding_steps(np.asarray([1.0], dtype), np.asarray([2.0], dtype)).tolist() == [2**bits]


def test_extremes_do_not_overflow():
    largest = np.finfo(np.float32).max
    found = rounding_steps(np.float32([-largest]), np.float32([largest]))
    assert found.tolist() == [2 * (np.float32(largest).view(np.int32).astype(int))]


def test_the_coarser_dtype_counts():
    assert common_dtype("float32", "bfloat16") == jnp.bfloat16
    assert common_dtype("float16", "float32") == np.float16
    assert common_dtype("float16", jnp.bfloat16) == jnp.bfloat16
    with pytest.raises(ValueError, match="dtype int8 is none of bfloat16, float16, float32"):
        common_dtype("int8", "float32")


def test_what_cannot_be_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        rounding_steps(np.zeros(2, np.float32), np.zeros(2, np.float16))
    with pytest.raises(ValueError, match="cannot be compared"):
        rounding_steps(np.zeros(2, np.float32), np.zeros(3, np.float32))
