"""Gradients by the taps against central differences in float64, and captures against an independent decoder."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import Trace, run_trace
from jaxeap.models.decoder import embed
from jaxeap.models.taps import Taps
from tests.attribution.numpy_graph import STEP, NumpyGraph
from tests.attribution.tap_patching import patched_losses
from tests.attribution.tiny import TinyModel
from tests.models.numpy_decoder import NumpyTaps

KINDS = ("query", "key", "value", "mlp", "final")


def of_kind(gradients: Taps, kind: str, example: int, length: int) -> np.ndarray:
    """One example's gradient by one kind of tap, [L, T, ...] or [T, D], without padding."""
    if kind == "final":
        return np.asarray(gradients.final[example, :length])
    return np.asarray(getattr(gradients.layers, kind)[:, example, :length])


def numpy_loss(tiny: TinyModel, batch: Batch, example: int, taps: NumpyTaps) -> float:
    """The example's loss in float64, under taps."""
    logits = tiny.expected_logits(batch.tokens[example][batch.mask[example]], taps)
    targets = batch.targets[example][batch.target_mask[example]]
    counted = logits[batch.first[example] - 1 :][: len(targets)]
    return float(np.mean(np.log(np.exp(counted).sum(axis=1)) - counted[np.arange(len(targets)), targets]))


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_agree_with_central_differences(tiny: TinyModel, batch: Batch, trace: Trace, kind: str):
    rng = np.random.default_rng(0)
    for example in (0, 2):
        length = int(batch.mask[example].sum())
        gradient = of_kind(trace.gradients, kind, example, length)
        for _ in range(3):
            direction = rng.normal(size=gradient.shape)
            direction /= np.linalg.norm(direction)
            up, down = (NumpyTaps.zeros(tiny.attributes, length) for _ in range(2))
            setattr(up, kind, STEP * direction)
            setattr(down, kind, -STEP * direction)
            difference = numpy_loss(tiny, batch, example, up) - numpy_loss(tiny, batch, example, down)
            # The sum may cancel, its rounding does not: the scale is the gradient's length.
            np.testing.assert_allclose(
                np.sum(gradient * direction), difference / (2 * STEP), rtol=0, atol=1e-6 * np.linalg.norm(gradient)
            )


def test_losses(tiny: TinyModel, batch: Batch, trace: Trace):
    for example in range(batch.size):
        untouched = NumpyTaps.zeros(tiny.attributes, int(batch.mask[example].sum()))
        np.testing.assert_allclose(trace.loss[example], numpy_loss(tiny, batch, example, untouched), rtol=1e-6)


def test_gradients_are_exactly_zero_at_padding(batch: Batch, trace: Trace):
    padding = ~batch.mask
    assert padding.any()
    for kind in ("query", "key", "value", "mlp"):
        assert not np.asarray(getattr(trace.gradients.layers, kind))[:, padding].any(), kind
    assert not np.asarray(trace.gradients.final)[padding].any()


def test_sources_add_up_to_what_every_destination_reads(tiny: TinyModel, batch: Batch, trace: Trace):
    config, captures = tiny.model.config, trace.captures
    outputs = np.asarray(Sources.of(captures).expand(tiny.model.weights, tiny.model.config, "block"))
    chex.assert_shape(outputs, (batch.size, 2 * config.num_layers + 1, batch.tokens.shape[1], config.embed_dim))
    for layer in range(config.num_layers):
        before = outputs[:, : 2 * layer + 1].sum(axis=1)
        np.testing.assert_allclose(captures.layers.attention_input[layer], before, rtol=0, atol=1e-5)
        with_attention = outputs[:, : 2 * layer + 2].sum(axis=1)
        np.testing.assert_allclose(captures.layers.mlp_input[layer], with_attention, rtol=0, atol=1e-5)
    np.testing.assert_allclose(captures.final, outputs.sum(axis=1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("level", ["block", "head"])
def test_source_outputs_agree_with_numpy(tiny: TinyModel, batch: Batch, trace: Trace, level: str):
    outputs = np.asarray(Sources.of(trace.captures).expand(tiny.model.weights, tiny.model.config, level))
    for example in range(batch.size):
        numpy_graph = NumpyGraph(tiny.model, level, batch, example)
        found = outputs[example][:, batch.mask[example]]
        np.testing.assert_allclose(found, numpy_graph.outputs, rtol=0, atol=5e-6)


def test_two_float64_decoders_agree(tiny: TinyModel, batch: Batch):
    # The graph's decoder takes stacked parameters, the other one Hugging Face's tensors: mistakes would not coincide.
    for example in range(batch.size):
        numpy_graph = NumpyGraph(tiny.model, "head", batch, example)
        untouched = NumpyTaps.zeros(tiny.attributes, len(numpy_graph.tokens))
        np.testing.assert_allclose(numpy_graph.loss, numpy_loss(tiny, batch, example, untouched), rtol=1e-12)


def test_taps_patch_single_edges_exactly(tiny: TinyModel, batch: Batch, trace: Trace):
    # On the full, nonlinear model: every head-level destination, each from a source drawn among those it reads.
    weights, config = tiny.model.weights, tiny.model.config
    graph = EdgeGraph.for_config(config, "head")
    deltas = -Sources.of(trace.captures).expand(weights, config, "head")
    rng = np.random.default_rng(0)
    rows = [int(rng.choice(np.flatnonzero(graph.mask[:, column]))) for column in range(len(graph.destinations))]
    edges = [(node, deltas[:, row]) for row, node in zip(rows, graph.destination_nodes, strict=True)]
    found = np.asarray(patched_losses(weights, config, batch, trace.captures, edges)) - np.asarray(trace.loss)[None]
    for example in range(batch.size):
        numpy_graph = NumpyGraph(tiny.model, "head", batch, example)
        expected = [
            numpy_graph.exact_effect(name, -numpy_graph.outputs[row])
            for name, row in zip(graph.destinations, rows, strict=True)
        ]
        assert np.abs(expected).max() > 0.1
        # The difference of two float32 losses, each good to 1e-6 of itself.
        np.testing.assert_allclose(found[:, example], expected, rtol=0, atol=2e-6 * numpy_graph.loss)


def test_a_given_embedding_is_run_instead_of_the_tokens(tiny: TinyModel, batch: Batch, trace: Trace):
    run = jax.jit(run_trace, static_argnums=1)
    weights, config = tiny.model.weights, tiny.model.config
    swapped = dataclasses.replace(batch, tokens=batch.corrupted)
    given = run(weights, config, swapped, embed(weights, config, jnp.asarray(batch.tokens)))
    chex.assert_trees_all_close(given.loss, trace.loss, rtol=1e-6)
    chex.assert_trees_all_close(given.gradients.final, trace.gradients.final, atol=1e-6)
