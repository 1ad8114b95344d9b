"""SwiGLU by hand, on one token and two inner channels."""

import jax.numpy as jnp
import numpy as np

from jaxeap.models.mlp import gated_mlp


def test_by_hand():
    layer = {
        "gate": jnp.array([[1.0, 0.0], [0.0, -1.0]]),
        "up": jnp.array([[2.0, 0.0], [0.0, 3.0]]),
        "down": jnp.array([[1.0, 10.0], [1.0, -100.0]]),
    }
    silu_of_2, silu_of_minus_1 = 2 / (1 + np.exp(-2)), -1 / (1 + np.exp(1))
    first, second = silu_of_2 * 4, silu_of_minus_1 * 3
    out = gated_mlp(jnp.array([[[2.0, 1.0]]]), layer, "silu")
    np.testing.assert_allclose(out, [[[first + second, 10 * first - 100 * second]]], rtol=1e-6)
