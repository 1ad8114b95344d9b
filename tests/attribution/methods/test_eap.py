"""EAP against float64 NumPy, against exact patching where the model is linear, and its sum rules."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.result import AttributionResult
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import Trace, run_trace
from jaxeap.models.model import Decoder
from tests.attribution.closeness import assert_scores_close, score_error
from tests.attribution.numpy_graph import NumpyGraph
from tests.attribution.tap_patching import patched_losses
from tests.attribution.tiny import TinyModel

SHARE = 2e-5
LEVELS: tuple[Level, ...] = ("block", "head")


@pytest.fixture(scope="module")
def damped(tiny: TinyModel) -> Decoder:
    """With so large an epsilon that the norms are no longer blind to the size of what they read.

    At the usual 1e-6 the sources' scores cancel in every column, and a sum rule would compare zero with zero.
    """
    return Decoder(dataclasses.replace(tiny.model.config, norm_epsilon=0.5), tiny.model.weights)


def examples(model: Decoder, level: Level, batch: Batch) -> list[NumpyGraph]:
    return [NumpyGraph(model, level, batch, example) for example in range(batch.size)]


# The whole jitted program against float64 NumPy that shares no step with it.
@pytest.mark.parametrize("level", LEVELS)
def test_zero_ablation_agrees_with_numpy(damped: Decoder, batch: Batch, level: Level):
    result = jaxeap.attribute(damped, batch, level=level)
    graphs = examples(damped, level, batch)
    assert_scores_close(result.scores, np.stack([graph.scores(-graph.outputs) for graph in graphs]), SHARE)
    np.testing.assert_allclose(result.loss, [graph.loss for graph in graphs], rtol=1e-6)


def test_a_long_example_agrees_with_numpy(damped: Decoder):
    # The regression test for jaxlib 0.10.2, which miscompiles the scorer on CPU, but only from 256 positions at once
    # on (jax issue 39103). NumPy is slow here, so of each destination one edge is compared.
    rng = np.random.default_rng(0)
    sequence = rng.integers(0, damped.config.vocab_size, 301).tolist()
    batch = Batch.from_sequences([sequence], [(290, 301)])
    result = jaxeap.attribute(damped, batch, level="head", chunk=300)
    graph, scores = NumpyGraph(damped, "head", batch, 0), np.asarray(result.scores[0], np.float64)
    largest = np.abs(scores).max()
    np.testing.assert_allclose(result.loss, [graph.loss], rtol=1e-6)
    for column, name in enumerate(graph.graph.destinations):
        row = rng.choice(np.flatnonzero(graph.graph.mask[:, column]))
        expected = graph.derivative(name, -graph.outputs[row])
        assert abs(scores[row, column] - expected) < SHARE * largest, (graph.graph.sources[row], name)


def test_corrupted_ablation_agrees_with_numpy(damped: Decoder, batch: Batch):
    result = jaxeap.attribute(damped, batch, level="head", ablation="corrupted")
    expected = []
    for example, graph in enumerate(examples(damped, "head", batch)):
        corrupted = graph.outputs_on(batch.corrupted[example][batch.mask[example]])
        expected.append(graph.scores(corrupted - graph.outputs))
    assert_scores_close(result.scores, np.stack(expected), SHARE)


def test_mean_ablation_agrees_with_numpy(damped: Decoder, batch: Batch):
    result = jaxeap.attribute(damped, batch, ablation="mean", reference=jaxeap.mean_sources(damped, batch))
    graphs = examples(damped, "block", batch)
    mean = np.concatenate([graph.outputs for graph in graphs], axis=1).mean(axis=1, keepdims=True)
    assert_scores_close(result.scores, np.stack([graph.scores(mean - graph.outputs) for graph in graphs]), SHARE)


def test_resample_ablation_agrees_with_numpy(damped: Decoder):
    # Of two examples each stands in for the other, whatever the draw; beyond its end its last position does.
    batch = Batch.from_sequences([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3, 5, 8]], [(2, 5), (4, 7)])
    result = jaxeap.attribute(damped, batch, ablation="resample")
    short, long = examples(damped, "block", batch)
    assert (short.outputs.shape[1], long.outputs.shape[1]) == (4, 6)
    lengthened = np.concatenate([short.outputs, short.outputs[:, [-1, -1]]], axis=1)
    expected = [short.scores(long.outputs[:, :4] - short.outputs), long.scores(lengthened - long.outputs)]
    assert_scores_close(result.scores, np.stack(expected), SHARE)


@pytest.fixture(scope="module")
def damped_trace(damped: Decoder, batch: Batch) -> Trace:
    return jax.jit(run_trace, static_argnums=1)(damped.weights, damped.config, batch)


@pytest.mark.parametrize("level", LEVELS)
def test_the_sources_of_a_destination_add_up(damped: Decoder, batch: Batch, damped_trace: Trace, level: Level):
    # Everything that j reads is written by its sources, so ablating all of them is -<g_j, residual input of j>.
    scores = np.asarray(jaxeap.attribute(damped, batch, level=level).scores, np.float64)
    gradients = np.asarray(Destinations.of(damped_trace).expand(damped.weights, damped.config, level), np.float64)
    captures = damped_trace.captures
    sums, expected = scores.sum(axis=1), np.empty_like(scores[:, 0])
    for column, (kind, layer, _) in enumerate(EdgeGraph.for_config(damped.config, level).destination_nodes):
        if kind == "logits":
            read = captures.final
        else:
            read = (captures.layers.mlp_input if kind == "mlp" else captures.layers.attention_input)[layer]
        expected[:, column] = -(gradients[:, column] * np.asarray(read, np.float64)).sum(axis=(1, 2))
    largest = np.abs(scores).max(axis=(1, 2))
    assert (np.abs(expected).max(axis=1) > 0.01 * largest).all()  # there is something to add up to
    assert (np.abs(sums - expected).max(axis=1) < SHARE * largest).all()


@pytest.fixture(scope="module")
def at_both_levels(tiny: TinyModel, batch: Batch) -> dict[Level, AttributionResult]:
    return {level: jaxeap.attribute(tiny.model, batch, level=level) for level in LEVELS}


@pytest.mark.parametrize("level", LEVELS)
def test_every_column_vanishes_when_norms_forget_the_size(at_both_levels: dict[Level, AttributionResult], level: Level):
    # Shrinking all that a destination reads changes nothing behind its norm, but for epsilon (1e-5 here).
    scores = np.asarray(at_both_levels[level].scores, np.float64)
    largest = np.abs(scores).max(axis=(1, 2))
    assert (np.abs(scores.sum(axis=1)).max(axis=1) < 1e-4 * largest).all()


def test_head_scores_add_up_to_block_scores(at_both_levels: dict[Level, AttributionResult]):
    heads, blocks = at_both_levels["head"], at_both_levels["block"]
    sources = [(node.kind, node.layer) for node in heads.graph.source_nodes]
    destinations = [(node.kind, node.layer) for node in heads.graph.destination_nodes]
    summed = np.zeros(blocks.scores.shape)
    for row, source in enumerate(blocks.graph.source_nodes):
        for column, destination in enumerate(blocks.graph.destination_nodes):
            own_rows = [index for index, node in enumerate(sources) if node == source[:2]]
            own_columns = [index for index, node in enumerate(destinations) if node == destination[:2]]
            parts = np.asarray(heads.scores, np.float64)[:, own_rows][:, :, own_columns]
            summed[:, row, column] = parts.sum(axis=(1, 2))
    assert_scores_close(summed, blocks.scores, 1e-5)


@pytest.fixture(scope="module")
def linear_behind_values(tiny_plain: TinyModel) -> Decoder:
    """A decoder whose loss is linear in what the last layer's values and the logits read, to float32's last bit.

    - Norms: with an epsilon of 1e12 the mean square is lost in rounding, so they multiply by a constant.
    - Loss: channel 0 of the residual stream is 1 at every token and written by nothing; through it token 1, which is
      never a target, gets a logit so far above all others that log-sum-exp is that logit, and the loss linear.
    - Behind the last values stands no other nonlinearity: the last feed-forward layer writes nothing.
    """
    config = dataclasses.replace(tiny_plain.model.config, norm_epsilon=1e12)
    weights = jax.tree.map(jnp.asarray, tiny_plain.model.weights)
    layers = dict(weights["layers"])
    layers["output"] = layers["output"].at[..., 0].set(0.0)
    layers["down"] = layers["down"].at[..., 0].set(0.0).at[-1].set(0.0)
    layers["attention_norm"], layers["mlp_norm"] = (layers[name] * 1e6 for name in ("attention_norm", "mlp_norm"))
    unembedding = (weights["unembedding"] * 0.5).at[:, 1].set(0.0).at[0].set(0.0).at[0, 1].set(48.0)
    return Decoder(
        config,
        {
            "embedding": weights["embedding"].at[:, 0].set(1.0),
            "layers": layers,
            "final_norm": weights["final_norm"].at[0].set(1.0) * 1e6,
            "unembedding": unembedding,
        },
    )


def test_exact_patching_where_the_model_is_linear(linear_behind_values: Decoder, batch: Batch):
    model = linear_behind_values
    weights, config = model.weights, model.config
    assert not (batch.targets[batch.target_mask] == 1).any()
    result = jaxeap.attribute(model, batch, level="head", ablation="corrupted")
    run = jax.jit(run_trace, static_argnums=1)
    trace = run(weights, config, batch)
    corrupted = run(weights, config, dataclasses.replace(batch, tokens=batch.corrupted))
    deltas = Sources.of(corrupted.captures).expand(weights, config, "head") - Sources.of(trace.captures).expand(
        weights, config, "head"
    )

    def exact(columns: list[int]) -> np.ndarray:
        """[B, S, columns]"""
        nodes = [result.graph.destination_nodes[column] for column in columns]
        edges = [(node, deltas[:, row]) for row in range(len(result.graph.sources)) for node in nodes]
        losses = np.asarray(patched_losses(weights, config, batch, trace.captures, edges), np.float64)
        effects = (losses - np.asarray(trace.loss, np.float64)[None]).T.reshape(batch.size, -1, len(columns))
        return np.where(result.graph.mask[:, columns], effects, 0.0)

    last, destinations = config.num_layers - 1, result.graph.destinations
    linear = [destinations.index(name) for name in (f"a{last}.kv0<v>", f"a{last}.kv1<v>", "logits")]
    curved = [destinations.index(name) for name in (f"a{last}.h0<q>", f"a{last}.kv1<k>", "m1")]
    scores = np.asarray(result.scores)
    assert (np.abs(scores[:, :, linear]).max(axis=(1, 2)) > 0.5).all()
    # An exact effect is the difference of two losses, each of which float32 rounds.
    rounding = 4 * np.spacing(np.asarray(trace.loss).max())
    np.testing.assert_allclose(scores[:, :, linear], exact(linear), rtol=0, atol=rounding)
    assert score_error(scores[:, :, curved], exact(curved)) > 1e-2  # elsewhere the two are not the same thing
