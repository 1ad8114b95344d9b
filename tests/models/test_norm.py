"""RMS normalisation by its definition."""

import jax.numpy as jnp
import numpy as np

from jaxeap.models.norm import rms_norm

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
