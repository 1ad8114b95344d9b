"""The module that users hold: named parameters, and no way to fill it wrongly."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxeap.models.model import Decoder
from jaxeap.models.parameters import abstract_weights, random_weights
from tests.models.conftest import TinyModel


def test_weights_are_the_parameters_themselves(tiny_qwen2: TinyModel):
    weights = tiny_qwen2.model.weights
    built = Decoder(tiny_qwen2.model.config, weights)
    assert jax.tree.structure(built.weights) == jax.tree.structure(weights)
    assert all(
        one is other for one, other in zip(jax.tree.leaves(built.weights), jax.tree.leaves(weights), strict=True)
    )
    assert isinstance(built.layers.query, nnx.Param)
    assert built.dtype == jnp.float32


def test_random_weights_are_seeded_and_scaled(tiny_qwen2: TinyModel):
    config = dataclasses.replace(tiny_qwen2.model.config, vocab_size=500, tied_embeddings=False)
    weights = random_weights(config, jax.random.key(3))
    jax.tree.map(np.testing.assert_array_equal, weights, Decoder.random(config, seed=3).weights)
    assert np.abs(weights["embedding"] - Decoder.random(config, seed=4).weights["embedding"]).max() > 0.1
    chex.assert_trees_all_equal_shapes_and_dtypes(weights, abstract_weights(config))
    # 10,000 draws of variance 1 / fan-in: the mean square is within 5 standard errors (5 sqrt(2 / n)) of it.
    for name, fan_in in (("embedding", 20), ("unembedding", 20)):
        np.testing.assert_allclose(fan_in * jnp.square(weights[name]).mean(), 1, atol=5 * (2 / 10_000) ** 0.5)
    np.testing.assert_array_equal(weights["layers"]["mlp_norm"], 1)
    np.testing.assert_array_equal(weights["layers"]["query_bias"], 0)


def test_wrong_shapes_and_trees_are_refused(tiny_qwen2: TinyModel):
    config, weights = tiny_qwen2.model.config, dict(tiny_qwen2.model.weights)
    layers = dict(weights["layers"])
    layers["bias"] = layers.pop("up")
    with pytest.raises(ValueError) as caught:
        Decoder(config, weights | {"final_norm": jnp.ones(19), "layers": layers})
    assert str(caught.value) == (
        "weights do not fit the configuration: final_norm is (19,), needs (20,), "
        "layers/bias is (3, 20, 28), needs None, layers/up is None, needs (3, 20, 28)"
    )


def test_a_mask_may_be_left_out(tiny_qwen2: TinyModel):
    tokens = tiny_qwen2.random_tokens(1, 7)
    with_mask = tiny_qwen2.model(tokens, np.ones((1, 7), bool))
    np.testing.assert_array_equal(tiny_qwen2.model(tokens.tolist()), with_mask)
