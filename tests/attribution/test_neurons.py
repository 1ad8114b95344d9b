"""Neuron scores against gradients by their weights, float64 models with one neuron moved, and their nodes' scores."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.attribution.attribute import attribute
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.loss import counted_loss
from jaxeap.attribution.neurons import NeuronAblation, _attribute_neurons, attribute_neurons
from jaxeap.attribution.nodes import node_scores
from jaxeap.attribution.trace import run_trace
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.parameters import Weights, abstract_weights
from tests.attribution.numpy_graph import STEP, NumpyGraph
from tests.attribution.test_nodes import moved
from tests.attribution.tiny import TinyModel, ragged_batch

SHARE = 2e-5


def assert_close(found: np.ndarray, expected: np.ndarray, share: float = SHARE) -> None:
    """Arrays [B, ...], in shares of each example's largest value."""
    assert found.shape == expected.shape
    axes = tuple(range(1, expected.ndim))
    size = np.abs(expected).max(axis=axes, keepdims=True)
    assert (size > 0).all()
    error = (np.abs(found - expected) / size).max()
    assert error <= share, f"off by {error:.2e}"


def test_zero_ablation_is_the_derivative_by_what_a_neuron_writes(tiny: TinyModel, batch: Batch):
    # To shrink a neuron at all positions is to shrink its row of the down projection: -<W, dL/dW>, row by row.
    model = tiny.model

    @jax.jit
    def weight_gradient(weights: Weights, example: int) -> Weights:
        def loss(weights: Weights) -> jax.Array:
            embedding = embed(weights, model.config, jnp.asarray(batch.tokens))
            final, _ = run_layers(weights, model.config, embedding, jnp.asarray(batch.mask))
            return counted_loss(weights, model.config, final, batch)[example]

        return jax.grad(loss)(weights)["layers"]

    scores = attribute_neurons(model, batch)
    layers = model.weights["layers"]
    for example in range(batch.size):
        gradient = weight_gradient(model.weights, example)
        mlp = -np.einsum("lfd,lfd->lf", layers["down"], gradient["down"])
        heads = -np.einsum("lhkd,lhkd->lhk", layers["output"], gradient["output"])
        assert_close(scores.mlp[example : example + 1], mlp[None])
        assert_close(scores.heads[example : example + 1], heads[None])


@pytest.mark.parametrize("ablation", ["zero", "corrupted"])
def test_neurons_of_a_node_add_up_to_its_score(tiny: TinyModel, batch: Batch, ablation: NeuronAblation):
    config = tiny.model.config
    scores = attribute_neurons(tiny.model, batch, ablation)
    result = attribute(tiny.model, batch, level="head", ablation=ablation)
    nodes = np.asarray(node_scores(result).sources)[:, 1:]
    nodes = nodes.reshape(batch.size, config.num_layers, config.num_heads + 1)
    in_nodes = np.concatenate([np.sum(scores.heads, axis=3), np.sum(scores.mlp, axis=2)[:, :, None]], axis=2)
    assert_close(in_nodes, nodes)
    np.testing.assert_allclose(scores.loss, result.loss, rtol=1e-6)
    assert scores.mlp.dtype == scores.heads.dtype == scores.loss.dtype == jnp.float32


class NumpyNeurons:
    """Neurons and head channels of one example in float64, on the tokens given."""

    def __init__(self, graph: NumpyGraph, tokens: np.ndarray):
        self.graph, self.layers, self.epsilon = graph, graph.weights["layers"], graph.config.norm_epsilon
        self.outputs = graph.outputs_on(tokens)

    def mlp(self, layer: int, neuron: int) -> np.ndarray:
        """[T]."""
        reads = self.graph.graph.mask[:, self.graph.graph.destinations.index(f"m{layer}")]
        x = self.outputs[reads].sum(axis=0)
        normed = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + self.epsilon) * self.layers["mlp_norm"][layer]
        gate = normed @ self.layers["gate"][layer][:, neuron]
        return gate / (1 + np.exp(-gate)) * (normed @ self.layers["up"][layer][:, neuron])

    def head(self, layer: int, head: int, channel: int) -> np.ndarray:
        """[T], recovered from the head's output, which its projection (more columns than rows) does not lose."""
        output = self.outputs[self.graph.graph.sources.index(f"a{layer}.h{head}")]
        return (output @ np.linalg.pinv(self.layers["output"][layer][head]))[:, channel]


@pytest.mark.parametrize("ablation", ["zero", "corrupted"])
def test_single_neurons_against_finite_differences(tiny: TinyModel, batch: Batch, ablation: NeuronAblation):
    scores = attribute_neurons(tiny.model, batch, ablation)
    config, rng = tiny.model.config, np.random.default_rng(0)
    for example in range(batch.size):
        graph = NumpyGraph(tiny.model, "head", batch, example)
        clean = NumpyNeurons(graph, graph.tokens)
        corrupted = NumpyNeurons(graph, batch.corrupted[example][batch.mask[example]])

        def slope(source: str, delta: np.ndarray, writes: np.ndarray, graph: NumpyGraph = graph) -> float:
            row, by = graph.graph.sources.index(source), STEP * np.outer(delta, writes)
            return (moved(graph, row, by) - moved(graph, row, -by)) / (2 * STEP)

        for layer in range(config.num_layers):
            neuron, head = int(rng.integers(config.mlp_dim)), int(rng.integers(config.num_heads))
            channel = int(rng.integers(config.head_dim))
            ends = [0.0 if ablation == "zero" else corrupted.mlp(layer, neuron), clean.mlp(layer, neuron)]
            expected = slope(f"m{layer}", ends[0] - ends[1], graph.weights["layers"]["down"][layer][neuron])
            largest = np.abs(scores.mlp[example]).max()
            np.testing.assert_allclose(scores.mlp[example, layer, neuron], expected, rtol=0, atol=SHARE * largest)

            at = (layer, head, channel)
            ends = [0.0 if ablation == "zero" else corrupted.head(*at), clean.head(*at)]
            writes = graph.weights["layers"]["output"][at]
            expected = slope(f"a{layer}.h{head}", ends[0] - ends[1], writes)
            largest = np.abs(scores.heads[example]).max()
            np.testing.assert_allclose(scores.heads[(example, *at)], expected, rtol=0, atol=SHARE * largest)


def test_padding_and_company_change_nothing(tiny: TinyModel, batch: Batch):
    scores = attribute_neurons(tiny.model, batch, "corrupted")
    padded = attribute_neurons(tiny.model, ragged_batch(tiny.model.config.vocab_size, length=15), "corrupted")
    assert_close(padded.mlp, np.asarray(scores.mlp))
    assert_close(padded.heads, np.asarray(scores.heads))
    first = jax.tree.map(lambda a: None if a is None else a[:1], batch)
    alone = attribute_neurons(tiny.model, first, "corrupted")
    assert_close(alone.mlp, np.asarray(scores.mlp)[:1])
    assert_close(alone.heads, np.asarray(scores.heads)[:1])


def test_memory_beyond_the_trace_is_that_of_a_few_layers(tiny: TinyModel, batch: Batch):
    layers, length = 24, 64
    config = dataclasses.replace(tiny.model.config, num_layers=layers, windows=(None,) * layers)
    long = Batch.from_sequences([[1] * (length + 1)], [(length, length + 1)])
    weights = abstract_weights(config)

    def memory(function: Any, **arguments: Any) -> Any:
        return function.lower(weights, config, batch=long, **arguments).compile().memory_analysis()

    trace = memory(jax.jit(run_trace, static_argnums=1))
    whole_trace = trace.temp_size_in_bytes + trace.output_size_in_bytes
    neurons_of_a_layer = 4 * length * config.mlp_dim
    beyond = memory(_attribute_neurons, ablation="zero").temp_size_in_bytes - whole_trace
    assert beyond < layers / 2 * neurons_of_a_layer


def test_other_ablations_are_refused(tiny: TinyModel, batch: Batch):
    for ablation in ("mean", "resample", "half"):
        with pytest.raises(ValueError, match=f"neurons are ablated by zero or corrupted, not '{ablation}'"):
            attribute_neurons(tiny.model, batch, ablation)
    plain = Batch.from_sequences([[1, 2, 3]], [(1, 3)])
    with pytest.raises(ValueError, match="'corrupted' needs"):
        attribute_neurons(tiny.model, plain, "corrupted")
    with pytest.raises(ValueError, match="token 31"):
        attribute_neurons(tiny.model, Batch.from_sequences([[1, 31, 3]], [(1, 3)]))
