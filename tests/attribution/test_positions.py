"""Weights of positions, worked by hand."""

import jax.numpy as jnp
import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.positions import predicting_position_weights, real_position_weights

BATCH = Batch.from_sequences([[5, 6, 7, 8, 9], [1, 0, 3]], [(2, 4), (1, 2)], length=4, width=3)


def test_real_positions():
    weights = real_position_weights(BATCH)
    assert weights.dtype == jnp.float32
    np.testing.assert_allclose(weights, [[1 / 3, 1 / 3, 1 / 3, 0], [1, 0, 0, 0]])


def test_predicting_positions_stand_before_the_tokens_that_they_predict():
    weights = predicting_position_weights(BATCH)
    assert weights.dtype == jnp.float32
    np.testing.assert_allclose(weights, [[0, 0.5, 0.5, 0], [1, 0, 0, 0]])
