"""Rotary embedding as complex multiplication in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.rope import RopeConfig, inverse_frequencies, rotate, rotations
from jaxeap.models.rope_scaling import LinearScaling, Llama3Scaling, LongRopeScaling, YarnScaling

POSITIONS = np.array([[0, 1, 2, 3], [0, 1000, 4095, 131071]], np.int32)


def rotate_as_complex(x: np.ndarray, positions: np.ndarray, theta: float) -> np.ndarray:
    half = x.shape[-1] // 2
    angles = positions[:, :, None, None] * theta ** (-np.arange(half) / half)
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=-1)


def test_channels_turn_in_pairs_half_a_head_apart():
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 8)).astype(np.float32)
    rotated = rotate(x, *rotations(RopeConfig(500.0), 8, POSITIONS))
    # An angle a is off by up to a * 2^-24, twice (frequency and product), and so is what it turns.
    tolerance = 1e-6 + 2.0**-23 * POSITIONS[:, :, None, None] * np.abs(x).max() * 2
    assert (np.abs(rotated - rotate_as_complex(x.astype(np.float64), POSITIONS, 500.0)) <= tolerance).all()
    np.testing.assert_array_equal(rotated[:, 0], x[:, 0])


def test_products_depend_on_distance_alone():
    query, key = np.random.default_rng(0).standard_normal((2, 1, 1, 1, 8)).astype(np.float32)
    products = []
    for start in (0, 5, 40):
        cosines, sines = rotations(RopeConfig(), 8, np.array([[start, start + 3]], np.int32))
        turned = [rotate(x, cosines[:, i : i + 1], sines[:, i : i + 1]) for i, x in enumerate((query, key))]
        products.append(float((turned[0] * turned[1]).sum()))
    np.testing.assert_allclose(products, products[0], atol=1e-5)


def test_frequencies_by_hand():
    np.testing.assert_allclose(inverse_frequencies(RopeConfig(10_000.0), 4), [1, 0.01], rtol=1e-7)


def test_linear_scaling_divides_positions():
    stretched = RopeConfig(500.0, LinearScaling(4.0))
    np.testing.assert_allclose(
        inverse_frequencies(stretched, 8) * 4, inverse_frequencies(RopeConfig(500.0), 8), rtol=1e-6
    )


def test_llama3_scaling_by_hand():
    # Frequencies 1, 0.1, 0.01, 0.001 turn 16, 1.6, 0.16 and 0.016 times over 100 positions.
    found = inverse_frequencies(RopeConfig(10_000.0, Llama3Scaling(8.0, 1.0, 4.0, 100)), 8)
    kept = (100 * 0.1 / (2 * np.pi) - 1) / 3
    np.testing.assert_allclose(found, [1, 0.1 * (kept + (1 - kept) / 8), 0.01 / 8, 0.001 / 8], rtol=1e-6)


def test_yarn_scaling_by_hand():
    scaling = YarnScaling(4.0, 1000)
    first = 8 * np.log(1000 / (32 * 2 * np.pi)) / (2 * np.log(10_000))
    last = 8 * np.log(1000 / (2 * np.pi)) / (2 * np.log(10_000))
    low, high = max(np.floor(first), 0), min(np.ceil(last), 7)
    ramp = np.clip((np.arange(4) - low) / (high - low), 0, 1)
    plain = np.array([1, 0.1, 0.01, 0.001])
    found = inverse_frequencies(RopeConfig(10_000.0, scaling), 8)
    np.testing.assert_allclose(found, ramp * plain / 4 + (1 - ramp) * plain, rtol=1e-6)
    assert scaling.magnitude == pytest.approx(0.1 * np.log(4) + 1)


def test_channels_beyond_the_fraction_stay():
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 8)).astype(np.float32)
    half = rotate(x, *rotations(RopeConfig(500.0, fraction=0.5), 8, POSITIONS))
    np.testing.assert_array_equal(half[..., 4:], x[..., 4:])
    np.testing.assert_array_equal(half[..., :4], rotate(x[..., :4], *rotations(RopeConfig(500.0), 4, POSITIONS)))


def test_no_rope_turns_nothing():
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 8)).astype(np.float32)
    np.testing.assert_array_equal(rotate(x, *rotations(None, 8, POSITIONS)), x)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_rotation_keeps_the_dtype(dtype: str):
    x = jnp.ones((2, 4, 3, 8), dtype)
    assert rotate(x, *rotations(RopeConfig(), 8, POSITIONS)).dtype == dtype


def test_angles_are_no_matrix_product():
    """Accelerators round the factors of one: to bfloat16 on a TPU, where positions beyond 256 would be lost."""
    program = jax.make_jaxpr(lambda positions: rotations(RopeConfig(), 8, positions))(POSITIONS)
    assert "dot_general" not in str(program)


def test_each_row_is_stretched_by_its_own_length():
    scaling = LongRopeScaling((1.0, 2.0), (4.0, 8.0), 3, 1.5)
    rope, plain = RopeConfig(100.0, scaling), np.array([1, 0.1])
    positions = np.array([[0, 1, 2, 2], [0, 1, 2, 3]], np.int32)  # padding takes a neighbour's
    cosines, sines = rotations(rope, 4, positions)
    for row, factors in enumerate((scaling.short_factors, scaling.long_factors)):
        angles = positions[row][:, None] * plain / factors
        np.testing.assert_allclose(cosines[row], 1.5 * np.cos(angles), atol=1e-6)
        np.testing.assert_allclose(sines[row], 1.5 * np.sin(angles), atol=1e-6)
