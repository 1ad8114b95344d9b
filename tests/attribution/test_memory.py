"""Memory of a scoring call, as XLA plans it: linear in positions, with a slope that does not know the nodes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.loss import counted_loss
from jaxeap.attribution.methods.eap import EapOptions, eap
from jaxeap.attribution.settings import Settings
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.parameters import abstract_weights
from jaxeap.models.rope import RopeConfig

CONFIG = ModelConfig(
    family="qwen2",
    vocab_size=128,
    embed_dim=64,
    num_layers=4,
    num_heads=8,
    num_kv_heads=2,
    head_dim=8,
    mlp_dim=176,
    activation="silu",
    norm_epsilon=1e-6,
    rope=RopeConfig(),
    windows=(None,) * 4,
    qkv_bias=True,
    tied_embeddings=True,
)
CHUNK = 16


def batch_of(length: int, size: int = 1) -> Batch:
    tokens = np.random.default_rng(0).integers(0, CONFIG.vocab_size, (size, length + 1))
    return Batch.from_sequences(tokens.tolist(), [(length - 31, length + 1)] * size)


def planned_bytes(level: str, length: int, config: ModelConfig = CONFIG) -> int:
    """Temporary buffers of one scoring call."""
    settings = Settings(level, "zero", CHUNK)
    batch = jax.tree.map(jnp.asarray, batch_of(length))
    compiled = eap.lower(abstract_weights(config), config, batch, None, settings, EapOptions()).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def floor_bytes(length: int) -> int:
    """Temporary buffers of a forward pass and a backward pass by activations alone."""

    def gradient(weights, batch):
        def summed(embedding):
            final, _ = run_layers(weights, CONFIG, embedding, batch.mask)
            return jnp.sum(counted_loss(weights, CONFIG, final, batch))

        return jax.grad(summed)(embed(weights, CONFIG, batch.tokens))

    batch = jax.tree.map(jnp.asarray, batch_of(length))
    return jax.jit(gradient).lower(abstract_weights(CONFIG), batch).compile().memory_analysis().temp_size_in_bytes


@pytest.mark.slow
def test_slope_in_positions_is_that_of_the_pass_and_not_of_the_nodes():
    # Up to one block of queries attention holds a square of probabilities for one layer; beyond, a row a query.
    slopes = {level: (planned_bytes(level, 2048) - planned_bytes(level, 1024)) / 1024 for level in ("block", "head")}
    graph = EdgeGraph.for_config(CONFIG, "head")
    one_position_of_all_nodes = 4 * (len(graph.sources) + len(graph.destinations)) * CONFIG.embed_dim
    assert slopes["head"] <= 1.05 * slopes["block"]
    assert abs(slopes["head"] - slopes["block"]) < 0.1 * one_position_of_all_nodes
    doubled = planned_bytes("head", 4096) - planned_bytes("head", 2048)
    assert doubled <= 1.05 * 2048 * slopes["head"]


def test_at_most_twice_the_floor():
    assert planned_bytes("head", 1024) <= 2 * floor_bytes(1024)


def test_more_heads_of_the_same_total_width_take_no_more():
    many = dataclasses.replace(CONFIG, num_heads=32, head_dim=2, num_kv_heads=8)
    slope = (planned_bytes("head", 2048, many) - planned_bytes("head", 1024, many)) / 1024
    few = (planned_bytes("head", 2048) - planned_bytes("head", 1024)) / 1024
    # What grows with the heads is a block of attention probabilities each, for one layer at a time: 512 floats a
    # position, held a few times over (products, probabilities and their gradients).
    one_row = 4 * 512 * (many.num_heads - CONFIG.num_heads)
    assert slope - few <= 5 * one_row


@pytest.mark.slow
def test_4096_positions_and_64_ragged_examples():
    model = jaxeap.Decoder.random(CONFIG)
    long = jaxeap.attribute(model, batch_of(4096), level="head")
    assert np.isfinite(long.scores).all() and np.abs(np.asarray(long.scores)).max() > 0
    rng = np.random.default_rng(1)
    sequences = [rng.integers(0, CONFIG.vocab_size, rng.integers(4, 60)).tolist() for _ in range(64)]
    counted = [(len(sequence) // 2, len(sequence)) for sequence in sequences]
    many = jaxeap.attribute(model, Batch.from_sequences(sequences, counted), level="head")
    for index in (0, 17, 63):
        alone = jaxeap.attribute(model, Batch.from_sequences([sequences[index]], [counted[index]]), level="head")
        np.testing.assert_allclose(
            many.scores[index], alone.scores[0], rtol=0, atol=2e-6 * np.abs(np.asarray(alone.scores)).max()
        )
