"""Node scores against gradients by a node's output and against float64 models whose node is moved."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.attribution.attribute import attribute
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import Level
from jaxeap.attribution.interventions import Ablation
from jaxeap.attribution.loss import counted_loss
from jaxeap.attribution.nodes import NOT_ADDITIVE, node_scores
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.model import Decoder
from jaxeap.models.taps import Captures, LayerOverrides
from tests.attribution.numpy_graph import STEP, NumpyGraph
from tests.attribution.tiny import TinyModel

SHARE = 2e-5


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    """Arrays [B, nodes], in shares of each example's largest value."""
    assert found.shape == expected.shape
    size = np.abs(expected).max(axis=1, keepdims=True)
    assert (size > 0).all()
    error = (np.abs(found - expected) / size).max()
    assert error <= SHARE, f"off by {error:.2e}"


def moved(graph: NumpyGraph, row: int, by: np.ndarray) -> float:
    """Loss when a source's output is moved by [T, D] for all that reads it."""
    readers = {name for name, reads in zip(graph.graph.destinations, graph.graph.mask[row], strict=True) if reads}
    return graph.loss_when(lambda destination, residual, outputs: residual + by * (destination in readers))


def expected_node_scores(graph: NumpyGraph, deltas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sources [S] and destinations [J] by central differences, from deltas [S, T, D]."""
    sources = [
        (moved(graph, row, STEP * delta) - moved(graph, row, -STEP * delta)) / (2 * STEP)
        for row, delta in enumerate(deltas)
    ]
    read = graph.graph.mask.T[:, :, None, None] * deltas[None]
    pairs = zip(graph.graph.destinations, read.sum(axis=1), strict=True)
    return np.array(sources), np.array([graph.derivative(destination, delta) for destination, delta in pairs])


@pytest.mark.parametrize("ablation", ["zero", "corrupted"])
@pytest.mark.parametrize("level", ["block", "head"])
def test_against_a_moved_node(tiny: TinyModel, batch: Batch, level: Level, ablation: Ablation):
    result = attribute(tiny.model, batch, level=level, ablation=ablation)
    nodes = node_scores(result)
    assert nodes.graph is result.graph and nodes.loss is result.loss
    sources, destinations = [], []
    for example in range(batch.size):
        graph = NumpyGraph(tiny.model, level, batch, example)
        replaced = 0.0 if ablation == "zero" else graph.outputs_on(batch.corrupted[example][batch.mask[example]])
        of_sources, of_destinations = expected_node_scores(graph, replaced - graph.outputs)
        sources.append(of_sources)
        destinations.append(of_destinations)
    assert_close(nodes.sources, np.array(sources))
    if ablation == "zero":
        # A norm undoes a scaling of what it reads, so all that is left is its epsilon.
        sizes = np.abs(result.scores).max(axis=(1, 2), keepdims=True)[:, 0]
        np.testing.assert_array_less(np.abs(nodes.destinations) / sizes, 1e-3)
    else:
        assert_close(nodes.destinations, np.array(destinations))


def gradients_by_outputs(model: Decoder, batch: Batch) -> tuple[Captures, jax.Array, jax.Array, jax.Array]:
    """Captures, and the summed loss's total derivative by the embedding, each head's output and each m{l}'s.

    A node's output is held at its own value, so that it becomes an input of the rest of the model.
    """
    weights, config = model.weights, model.config
    mask, embedding = jnp.asarray(batch.mask), embed(weights, config, jnp.asarray(batch.tokens))
    captures = run_layers(weights, config, embedding, mask)[1]

    def loss(embedding: jax.Array, heads: jax.Array, mlp: jax.Array, held: tuple[jax.Array, jax.Array]) -> jax.Array:
        overrides = LayerOverrides(attention=held[0], heads=heads, feed_forward=held[1], mlp=mlp)
        final, _ = run_layers(weights, config, embedding, mask, overrides=overrides)
        return jnp.sum(counted_loss(weights, config, final, batch))

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1, 2)))
    own = (embedding, captures.layers.heads, captures.layers.mlp)
    nothing = jnp.zeros(config.num_layers, bool)
    by_heads, by_mlp = [], []
    for layer in range(config.num_layers):
        by_heads.append(gradient(*own, (nothing.at[layer].set(True), nothing))[1][layer])
        by_mlp.append(gradient(*own, (nothing, nothing.at[layer].set(True)))[2][layer])
    return captures, gradient(*own, (nothing, nothing))[0], jnp.stack(by_heads), jnp.stack(by_mlp)


def test_against_gradients_by_the_outputs(tiny: TinyModel, batch: Batch):
    model = tiny.model
    captures, by_embedding, by_heads, by_mlp = gradients_by_outputs(model, batch)
    embed_score = -np.einsum("btd,btd->b", captures.embedding, by_embedding)
    head_scores = -np.einsum("lbthk,lbthk->blh", captures.layers.heads, by_heads)
    mlp_scores = -np.einsum("lbtd,lbtd->bl", captures.layers.mlp, by_mlp)
    in_layers = np.concatenate([head_scores, mlp_scores[:, :, None]], axis=2).reshape(batch.size, -1)
    expected = np.concatenate([embed_score[:, None], in_layers], axis=1)
    assert_close(node_scores(attribute(model, batch, level="head")).sources, expected)

    blocks = np.stack([head_scores.sum(axis=2), mlp_scores], axis=2).reshape(batch.size, -1)
    expected = np.concatenate([embed_score[:, None], blocks], axis=1)
    assert_close(node_scores(attribute(model, batch, level="block")).sources, expected)


@pytest.mark.parametrize("method", NOT_ADDITIVE)
def test_scores_that_do_not_add_up_are_refused(tiny: TinyModel, batch: Batch, method: str):
    result = dataclasses.replace(attribute(tiny.model, batch), method=method)
    with pytest.raises(ValueError, match=f"method '{method}' do not add up to node scores"):
        node_scores(result)
