"""The forward pass of circuits against float64 NumPy, exact patching through the taps, and the decoder itself."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits.forward import circuit_residual
from jaxeap.attribution.circuits.losses import circuit_losses
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.interventions import Ablation, ablated_sources
from jaxeap.attribution.loss import counted_loss
from jaxeap.attribution.sources import Sources
from jaxeap.models.config import ModelConfig
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.model import Decoder
from jaxeap.models.parameters import Weights
from jaxeap.models.taps import Captures
from tests.attribution.circuits.conftest import random_circuits
from tests.attribution.circuits.numpy_circuit import circuit_loss
from tests.attribution.numpy_graph import NumpyGraph
from tests.attribution.tap_patching import patched_losses
from tests.attribution.tiny import TinyModel, ragged_batch

ROUNDING = 1e-5


@functools.partial(jax.jit, static_argnums=(1, 3))
def ablated_run(
    weights: Weights, config: ModelConfig, batch: Batch, ablation: Ablation, reference: Sources | None
) -> tuple[Sources, Captures, jax.Array]:
    """Ablated values, the clean run's captures, and its loss [B]."""
    final, captures = run_layers(
        weights, config, embed(weights, config, jnp.asarray(batch.tokens)), jnp.asarray(batch.mask)
    )
    ablated = ablated_sources(weights, config, batch, Sources.of(captures), ablation, reference, 0)
    return ablated, captures, counted_loss(weights, config, final, batch)


def losses_of(
    model: Decoder,
    graph: EdgeGraph,
    batch: Batch,
    circuits: np.ndarray,
    ablation: Ablation = "corrupted",
    reference: Sources | None = None,
    **arguments,
) -> np.ndarray:
    ablated, _, _ = ablated_run(model.weights, model.config, batch, ablation, reference)
    return circuit_losses(model.weights, model.config, graph, batch, ablated, circuits, **arguments)


@pytest.mark.parametrize("ablation", ["zero", "corrupted", "mean"])
def test_every_example_agrees_with_float64(
    tiny: TinyModel, batch: Batch, graph: EdgeGraph, level: Level, ablation: Ablation
):
    """Ragged lengths, grouped heads, biases, a window; all edges, none, and three random circuits."""
    circuits = random_circuits(graph)
    reference = jaxeap.mean_sources(tiny.model, batch) if ablation == "mean" else None
    found = losses_of(tiny.model, graph, batch, circuits, ablation, reference)
    assert found.shape == (len(circuits), batch.size) and found.dtype == np.float32
    examples = [NumpyGraph(tiny.model, level, batch, index) for index in range(batch.size)]
    weighted = sum(example.outputs.sum(axis=1) for example in examples)
    mean = weighted / sum(len(example.tokens) for example in examples)
    for index, example in enumerate(examples):
        ablated = {
            "zero": np.zeros_like(example.outputs),
            "corrupted": example.outputs_on(batch.corrupted[index][batch.mask[index]]),
            "mean": np.broadcast_to(mean[:, None], example.outputs.shape),
        }[ablation]
        expected = [circuit_loss(example, edges, ablated) for edges in circuits]
        np.testing.assert_allclose(found[:, index], expected, rtol=ROUNDING)


@pytest.mark.parametrize("ablation", ["zero", "corrupted"])
def test_all_edges_are_the_decoder_and_none_the_ablated_run(
    tiny: TinyModel, batch: Batch, graph: EdgeGraph, ablation: Ablation
):
    full, empty, *_ = losses_of(tiny.model, graph, batch, random_circuits(graph), ablation)
    _, _, loss = ablated_run(tiny.model.weights, tiny.model.config, batch, ablation, None)
    np.testing.assert_allclose(full, loss, rtol=ROUNDING)
    if ablation == "zero":
        np.testing.assert_allclose(empty, np.log(tiny.model.config.vocab_size), rtol=1e-6)  # no token is likelier
    else:
        swapped = dataclasses.replace(batch, tokens=batch.corrupted)
        _, _, corrupted_loss = ablated_run(tiny.model.weights, tiny.model.config, swapped, "zero", None)
        np.testing.assert_allclose(empty, corrupted_loss, rtol=ROUNDING)


def test_removing_one_edge_is_patching_it_through_the_taps(tiny: TinyModel, batch: Batch):
    """Edges from each kind of source into each kind of destination, at head level."""
    graph = EdgeGraph.for_config(tiny.model.config, "head")
    edges = [
        graph.edge_index(*edge.split("->"))
        for edge in (
            *("embed->a0.h4<q>", "embed->a2.kv1<k>", "embed->a1.kv0<v>", "embed->m0", "embed->logits"),
            *("a0.h5->a1.h2<q>", "a0.h2->a2.kv0<k>", "a1.h3->a2.kv1<v>", "a0.h1->m0", "a1.h0->m2", "a2.h5->logits"),
            *("m0->a1.h0<q>", "m1->a2.kv0<k>", "m0->a2.kv1<v>", "m1->m2", "m2->logits"),
        )
    ]
    ablated, captures, loss = ablated_run(tiny.model.weights, tiny.model.config, batch, "corrupted", None)
    difference = jax.tree.map(jnp.subtract, ablated, Sources.of(captures))
    deltas = difference.expand(tiny.model.weights, tiny.model.config, "head")
    moved = [(graph.destination_nodes[column], deltas[:, row]) for row, column in edges]
    expected = patched_losses(tiny.model.weights, tiny.model.config, batch, captures, moved)

    circuits = np.repeat(graph.mask[None], len(edges), axis=0)
    for circuit, edge in zip(circuits, edges, strict=True):
        circuit[edge] = False
    found = losses_of(tiny.model, graph, batch, circuits)
    np.testing.assert_allclose(found, expected, rtol=ROUNDING)
    effects = np.abs(found - np.asarray(loss)[None]).max(axis=1)
    assert (effects > 20 * ROUNDING).all(), "an edge without an effect shows nothing"


def test_removing_one_edge_is_exact_patching_at_block_level(tiny: TinyModel, batch: Batch):
    graph = EdgeGraph.for_config(tiny.model.config, "block")
    example = NumpyGraph(tiny.model, "block", batch, 2)
    deltas = example.outputs_on(batch.corrupted[2][batch.mask[2]]) - example.outputs
    edges = np.argwhere(graph.mask)
    expected = [example.loss + example.exact_effect(graph.destinations[column], deltas[row]) for row, column in edges]
    circuits = np.repeat(graph.mask[None], len(edges), axis=0)
    circuits[np.arange(len(edges)), *edges.T] = False
    np.testing.assert_allclose(losses_of(tiny.model, graph, batch, circuits)[:, 2], expected, rtol=ROUNDING)


def test_another_family(tiny_plain: TinyModel, batch: Batch):
    """No biases, no windows, untied embeddings."""
    graph = EdgeGraph.for_config(tiny_plain.model.config, "head")
    circuits = random_circuits(graph)
    found = losses_of(tiny_plain.model, graph, batch, circuits, "zero")
    example = NumpyGraph(tiny_plain.model, "head", batch, 0)
    expected = [circuit_loss(example, edges, np.zeros_like(example.outputs)) for edges in circuits]
    np.testing.assert_allclose(found[:, 0], expected, rtol=ROUNDING)


def test_padding_and_company_change_nothing(tiny: TinyModel, batch: Batch):
    graph = EdgeGraph.for_config(tiny.model.config, "head")
    circuits = random_circuits(graph)
    plain = losses_of(tiny.model, graph, batch, circuits)
    vocabulary = tiny.model.config.vocab_size
    padded = ragged_batch(vocabulary, length=batch.tokens.shape[1] + 3, width=batch.targets.shape[1] + 2)
    np.testing.assert_allclose(losses_of(tiny.model, graph, padded, circuits), plain, rtol=ROUNDING)
    padding = ~padded.mask
    nonsense = np.random.default_rng(0).integers(0, vocabulary, padded.tokens.shape, np.int32)
    spoilt = dataclasses.replace(padded, tokens=np.where(padding, nonsense, padded.tokens))
    np.testing.assert_array_equal(
        losses_of(tiny.model, graph, spoilt, circuits), losses_of(tiny.model, graph, padded, circuits)
    )
    alone = jax.tree.map(lambda array: array[1:2], batch)
    np.testing.assert_allclose(losses_of(tiny.model, graph, alone, circuits)[:, 0], plain[:, 1], rtol=ROUNDING)


def test_equal_circuits_are_equal_to_the_bit_and_blocks_change_rounding_only(tiny: TinyModel, batch: Batch):
    graph = EdgeGraph.for_config(tiny.model.config, "block")
    circuits = random_circuits(graph)
    once = losses_of(tiny.model, graph, batch, circuits)
    order = [4, 0, 2, 2, 3, 0, 1, 4]
    np.testing.assert_array_equal(losses_of(tiny.model, graph, batch, circuits[order]), once[order])
    one_by_one = losses_of(tiny.model, graph, batch, circuits, side_by_side=1)
    np.testing.assert_allclose(one_by_one, once, rtol=ROUNDING)
    in_threes = losses_of(tiny.model, graph, batch, circuits, side_by_side=3)  # two blocks, the last one filled up
    np.testing.assert_allclose(in_threes, once, rtol=ROUNDING)


def test_bfloat16_stays_within_its_rounding(tiny: TinyModel, batch: Batch):
    graph = EdgeGraph.for_config(tiny.model.config, "head")
    weights = jax.tree.map(lambda array: array.astype(jnp.bfloat16), tiny.model.weights)
    rounded = jax.tree.map(lambda array: array.astype(jnp.float32), weights)
    circuits = random_circuits(graph)
    found = losses_of(Decoder(tiny.model.config, weights), graph, batch, circuits)
    expected = losses_of(Decoder(tiny.model.config, rounded), graph, batch, circuits)
    assert found.dtype == np.float32
    # The decoder's own bound (see test_decoder): a few dozen roundings of 2^-9 each, adding up at random.
    assert 0 < np.abs(found - expected).max() / expected.max() < 8 * 2**-9


def test_no_array_holds_every_source_in_the_residual_stream(tiny: TinyModel, batch: Batch):
    """At head level [S, B, T, D] is what makes such passes run out of memory."""
    graph = EdgeGraph.for_config(tiny.model.config, "head")
    ablated, _, _ = ablated_run(tiny.model.weights, tiny.model.config, batch, "corrupted", None)

    def run(circuit: jax.Array) -> jax.Array:
        return circuit_residual(tiny.model.weights, tiny.model.config, "head", batch, ablated, circuit)

    program = str(jax.make_jaxpr(run)(graph.mask))
    (size, length), width = batch.tokens.shape, tiny.model.config.embed_dim
    one_layer = tiny.model.config.num_heads + 1
    assert f"f32[{one_layer},{size},{length},{width}]" in program
    assert f"f32[{len(graph.sources)},{size},{length},{width}]" not in program
    layers = tiny.model.config.num_layers
    assert f"f32[{layers},{one_layer},{size},{length},{width}]" not in program


def test_refused(tiny: TinyModel, batch: Batch, graph: EdgeGraph):
    with pytest.raises(ValueError, match=r"circuits must be \[C, "):
        losses_of(tiny.model, graph, batch, graph.mask)
    with pytest.raises(ValueError, match="needs clean_final"):
        losses_of(tiny.model, graph, batch, graph.mask[None], metric="divergence")
