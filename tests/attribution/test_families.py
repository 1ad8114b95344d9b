"""Scores of every family on tiny models that transformers builds here: block level against torch, head level against
the derivative of exact patching, and the sum rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits.forward import circuit_residual
from jaxeap.attribution.constants import constant_outputs
from jaxeap.attribution.neurons import attribute_neurons
from jaxeap.attribution.nodes import node_scores
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import run_trace
from jaxeap.models.decoder import embed, run_layers
from jaxeap.models.model import Decoder
from tests.attribution.closeness import assert_scores_close
from tests.attribution.tap_patching import patched_losses, tap_of_edge, tapped_losses
from tests.attribution.torch_graph import block_scores

torch = pytest.importorskip("torch", reason="torch is installed on Python 3.11 alone (requirements/dev.txt)")
transformers = pytest.importorskip("transformers")

SHAPE = {"vocab_size": 47, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 10}
EAGER = {"attn_implementation": "eager", "experts_implementation": "eager"}
"""Loops of plain operations, which run in float64 too."""
CASES: dict[str, dict[str, Any]] = {
    "Qwen3": {**HEADS, "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
    "Gemma2": {
        **HEADS,
        "sliding_window": 4,
        "query_pre_attn_scalar": 12,
        "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0,
    },
    "Gemma3Text": {
        **HEADS,
        "sliding_window": 4,
        "query_pre_attn_scalar": 12,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "Mixtral": {**HEADS, "num_local_experts": 5, "sliding_window": 4},
    "Qwen3Moe": {**HEADS, "num_experts": 6, "num_experts_per_tok": 3, "moe_intermediate_size": 14},
    "Olmo2": {"num_attention_heads": 4, "num_key_value_heads": 2},
    "Llama": {**HEADS, "attention_bias": True, "mlp_bias": True},
    "GPTNeoX": {"num_attention_heads": 3},
    "GPT2": {"n_head": 4, "n_positions": 16, "n_embd": 24, "n_layer": 2},
}
LENGTHS, STARTS = (10, 7), (5, 3)


def cases(*quick: str) -> pytest.MarkDecorator:
    """All families, those that are not named in slow runs alone: what is theirs is in these too, or behind taps."""
    marked = [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
    return pytest.mark.parametrize("pair", marked, indirect=True)


QUICK = cases("Gemma2", "GPT2", "GPTNeoX", "Mixtral")
QUICKEST = cases("Gemma2", "GPT2")
"""For tests that compile for long."""


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Decoder]:
    config = getattr(transformers, f"{request.param}Config")(
        **({"vocab_size": SHAPE["vocab_size"]} if request.param == "GPT2" else SHAPE), **CASES[request.param]
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, **EAGER).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.3 if parameter.ndim > 1 else 0.25))
            if ("norm" in name or "ln_" in name) and name.endswith("weight"):
                parameter += 1
    folder: Path = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    return model.double(), jaxeap.load_model(folder)


def sequences() -> list[np.ndarray]:
    rng = np.random.default_rng(2)
    return [rng.integers(0, SHAPE["vocab_size"], length, np.int32) for length in LENGTHS]


def make_batch() -> Batch:
    return Batch.from_sequences(
        [sequence.tolist() for sequence in sequences()], list(zip(STARTS, LENGTHS, strict=True))
    )


@QUICK
def test_block_level_scores(pair: tuple[Any, Decoder]):
    theirs, ours = pair
    if ours.config.family == "gpt2":
        pytest.skip("held against the shared reference scores")
    result = jaxeap.attribute(ours, make_batch())
    scores = np.asarray(result.scores)
    for row, (tokens, start) in enumerate(zip(sequences(), STARTS, strict=True)):
        expected, loss = block_scores(theirs, tokens, start)
        np.testing.assert_allclose(result.loss[row], loss, rtol=0, atol=1e-5)
        assert_scores_close(scores[[row]], np.where(result.graph.mask, expected, 0.0)[None], 2e-5)


@QUICKEST
def test_head_level_scores_are_derivatives_of_exact_patching(pair: tuple[Any, Decoder]):
    """One source drawn for each destination; patching replaces nothing of the contraction's pull-backs."""
    weights, config, batch = pair[1].weights, pair[1].config, make_batch()
    result = jaxeap.attribute(pair[1], batch, level="head")
    blocks = jaxeap.attribute(pair[1], batch)
    graph = result.graph
    trace = jax.jit(run_trace, static_argnums=1)(weights, config, batch)
    deltas = -Sources.of(trace.captures).expand(weights, config, "head")
    rng = np.random.default_rng(0)
    rows = np.array([rng.choice(np.flatnonzero(column)) for column in graph.mask.T])
    nodes = graph.destination_nodes

    def losses(share: jax.Array) -> jax.Array:
        taps = [
            tap_of_edge(weights, config, trace.captures, node, share * deltas[:, row])
            for node, row in zip(nodes, rows, strict=True)
        ]
        return tapped_losses(weights, config, batch, jax.tree.map(lambda *arrays: jnp.stack(arrays), *taps))

    _, slopes = jax.jvp(losses, (jnp.zeros(()),), (jnp.ones(()),))
    found = np.asarray(result.scores)[:, rows, np.arange(len(rows))]
    np.testing.assert_allclose(found, slopes.T, rtol=0, atol=2e-5 * np.abs(result.scores).max())

    of_source = np.array([blocks.graph.sources.index(name.split(".")[0]) for name in graph.sources])
    summed = np.zeros((batch.size, len(blocks.graph.sources), len(graph.destinations)))
    np.add.at(summed, (slice(None), of_source), np.asarray(result.scores))
    letters = [(node.kind, node.layer) for node in blocks.graph.destination_nodes]
    of_destination = np.array([letters.index((node.kind, node.layer)) for node in nodes])
    whole = np.zeros(blocks.scores.shape)
    np.add.at(whole, (slice(None), slice(None), of_destination), summed)
    # At block level an output bias goes with its layer, at head level it is a source apart.
    kept = [not (config.output_bias and node.kind == "attention") for node in blocks.graph.source_nodes]
    assert_scores_close(whole[:, kept], np.asarray(blocks.scores)[:, kept], 2e-5)


@QUICK
@pytest.mark.parametrize("level", ["block", "head"])
def test_sources_add_up_to_what_every_destination_reads(pair: tuple[Any, Decoder], level: str):
    weights, config, batch = pair[1].weights, pair[1].config, make_batch()
    captures = jax.jit(run_trace, static_argnums=1)(weights, config, batch).captures
    graph = jaxeap.EdgeGraph.for_config(config, level)
    outputs = np.asarray(Sources.of(captures).expand(weights, config, level))
    constants = np.asarray(constant_outputs(weights, graph, jnp.asarray(batch.mask)))
    assert constants.shape[1] == len(graph.constants) == len(graph.constant_mask)
    for column, node in enumerate(graph.destination_nodes):
        read = {"logits": lambda layer: captures.final, "mlp": lambda layer: captures.layers.mlp_input[layer]}.get(
            node.kind, lambda layer: captures.layers.attention_input[layer]
        )(node.layer)
        total = outputs[:, graph.mask[:, column]].sum(axis=1) + constants[:, graph.constant_mask[:, column]].sum(axis=1)
        np.testing.assert_allclose(total, read, rtol=0, atol=2e-6 * np.abs(read).max())


@QUICKEST
def test_exact_patching_agrees_with_a_run_through_the_taps(pair: tuple[Any, Decoder]):
    weights, config, batch = pair[1].weights, pair[1].config, make_batch()
    trace = jax.jit(run_trace, static_argnums=1)(weights, config, batch)
    graph = jaxeap.EdgeGraph.for_config(config, "head")
    deltas = -Sources.of(trace.captures).expand(weights, config, "head")
    names = [("embed", "a1.h0<q>"), ("a0.h1", "a1.kv0<v>"), ("m0", "m1"), ("a1.h0", "logits")]
    edges = [graph.edge_index(*name) for name in names]
    taps = [(graph.destination_nodes[column], deltas[:, row]) for row, column in edges]
    expected = np.asarray(patched_losses(weights, config, batch, trace.captures, taps)) - np.asarray(trace.loss)
    result = jaxeap.attribute(pair[1], batch, method="exact", level="head", edges=edges)
    found = np.stack([np.asarray(result.scores)[:, row, column] for row, column in edges])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@QUICK
def test_a_constant_source_is_named_where_there_is_one(pair: tuple[Any, Decoder]):
    config = pair[1].config
    named = {level: jaxeap.EdgeGraph.for_config(config, level).constants for level in ("block", "head")}
    if config.family == "gpt2":
        assert named == {"block": ("positions",), "head": ("positions", "a0.bias", "a1.bias")}
    elif config.family in ("gpt_neox", "llama"):
        assert named == {"block": (), "head": ("a0.bias", "a1.bias")}
    else:
        assert named == {"block": (), "head": ()}


@QUICKEST
def test_the_whole_circuit_is_the_model_and_the_empty_one_its_ablation(pair: tuple[Any, Decoder]):
    model, batch = pair[1], make_batch()
    mask = jnp.asarray(batch.mask)
    final, captures = run_layers(model.weights, model.config, embed(model.weights, model.config, batch.tokens), mask)
    for level in ("block", "head"):
        graph = jaxeap.EdgeGraph.for_config(model.config, level)
        ablated = jax.tree.map(jnp.zeros_like, Sources.of(captures))
        run = jax.jit(circuit_residual, static_argnums=(1, 2))
        whole = run(model.weights, model.config, level, batch, ablated, jnp.asarray(graph.mask))
        np.testing.assert_allclose(whole, final, rtol=0, atol=1e-5 * np.abs(final).max())
        empty = run(model.weights, model.config, level, batch, ablated, jnp.zeros(graph.mask.shape, bool))
        constants = constant_outputs(model.weights, graph, mask).sum(axis=1)
        np.testing.assert_allclose(empty, constants, rtol=0, atol=1e-5)


@QUICK
def test_neurons_add_up_to_their_layers(pair: tuple[Any, Decoder]):
    model, batch = pair[1], make_batch()
    neurons = attribute_neurons(model, batch)
    nodes = node_scores(jaxeap.attribute(model, batch, level="head"))
    graph = nodes.graph
    for layer in range(model.config.num_layers):
        for head in range(model.config.num_heads):
            column = graph.sources.index(f"a{layer}.h{head}")
            expected = nodes.sources[:, column]
            np.testing.assert_allclose(neurons.heads[:, layer, head].sum(axis=1), expected, rtol=0, atol=2e-5)
        if not model.config.mlp_bias:  # which is part of the layer and of no neuron
            expected = nodes.sources[:, graph.sources.index(f"m{layer}")]
            np.testing.assert_allclose(neurons.mlp[:, layer].sum(axis=1), expected, rtol=0, atol=2e-5)
