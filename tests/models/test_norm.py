"""RMS normalisation by its definition."""

import jax.numpy as jnp
import numpy as np

from jaxeap.models.norm import layer_norm, rms_norm

RNG = np.random.default_rng(0)


def test_definition():
    x, scale = RNG.standard_normal((2, 3, 20)).astype(np.float32), RNG.standard_normal(20).astype(np.float32)
    wide = x.astype(np.float64)
    expected = wide / np.sqrt((wide**2).mean(axis=-1, keepdims=True) + 0.1) * scale
    np.testing.assert_allclose(rms_norm(jnp.asarray(x), jnp.asarray(scale), 0.1), expected, rtol=1e-6, atol=1e-7)


def test_bfloat16_is_normalised_in_float32():
    """Squares of 1000 entries summed in bfloat16 would stall: 256 + 1 is 256 there."""
    normed = rms_norm(jnp.ones((1, 1000), jnp.bfloat16), jnp.ones(1000, jnp.bfloat16), 0.0)
    assert normed.dtype == jnp.bfloat16
    np.testing.assert_array_equal(normed, jnp.ones((1, 1000), jnp.bfloat16))


def test_layer_norm_by_numpy():
    rng = np.random.default_rng(0)
    x, scale, bias = rng.normal(size=(2, 3, 8)) + 5, rng.normal(size=8), rng.normal(size=8)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 0.1) * scale + bias
    found = layer_norm(*(jnp.asarray(a, jnp.float32) for a in (x, scale, bias)), 0.1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-6)


def test_a_stored_scale_of_zero_is_one_for_gemma():
    x = jnp.array([[3.0, 4.0]])
    found = rms_norm(x, jnp.zeros(2), 0.0, kind="rms_one_plus")
    np.testing.assert_allclose(found, [[3 / 12.5**0.5, 4 / 12.5**0.5]], rtol=1e-6)


def test_a_scale_of_two_axes_norms_over_both():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    scale = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = x / np.sqrt((x**2).mean(axis=(1, 2), keepdims=True) + 0.1) * scale
    np.testing.assert_allclose(rms_norm(jnp.asarray(x), jnp.asarray(scale), 0.1), expected, rtol=1e-5, atol=1e-6)


def test_scale_in_float32_is_rounded_once():
    x, scale = jnp.full((1, 4), 3.0, jnp.bfloat16), jnp.full(4, 1.0078125, jnp.bfloat16)
    exact = 1.0078125 * 3 / np.sqrt(9 + 0.3)
    once = rms_norm(x, scale, 0.3, kind="rms_wide")
    assert once.dtype == jnp.bfloat16
    np.testing.assert_array_equal(once, jnp.full((1, 4), exact, jnp.bfloat16))
