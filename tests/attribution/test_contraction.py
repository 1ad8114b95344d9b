"""The contraction against plain loops, whatever the chunk and the grouping of layers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.attribution import node_order
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.contraction import automatic_chunk, contract, edge_dots
from jaxeap.attribution.destinations import Destinations
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.interventions import Deltas
from jaxeap.attribution.sources import Sources
from jaxeap.attribution.trace import Trace
from jaxeap.models.config import ModelConfig
from tests.attribution.closeness import assert_scores_close
from tests.attribution.tiny import TinyModel

ROUNDING = 1e-6


def run_contraction(tiny: TinyModel, trace: Trace, level: Level, chunk: int) -> np.ndarray:
    """[B, S, J], compiled anew so that patched constants are seen."""
    graph = EdgeGraph.for_config(tiny.model.config, level)
    scores = jax.jit(lambda *arguments: contract(arguments[0], tiny.model.config, graph, *arguments[1:], chunk=chunk))
    return np.asarray(scores(tiny.model.weights, Deltas(Sources.of(trace.captures), None), Destinations.of(trace)))


@pytest.fixture(scope="module")
def expected(tiny: TinyModel, trace: Trace) -> np.ndarray:
    """Head-level scores [B, S, J] of zero ablation: one float64 dot product per edge over full arrays."""
    weights, config = tiny.model.weights, tiny.model.config
    graph = EdgeGraph.for_config(config, "head")
    outputs = -np.asarray(Sources.of(trace.captures).expand(weights, config, "head"), np.float64)
    gradients = np.asarray(Destinations.of(trace).expand(weights, config, "head"), np.float64)
    scores = np.zeros((len(outputs), *graph.mask.shape))
    for row, column in np.argwhere(graph.mask):
        scores[:, row, column] = (outputs[:, row] * gradients[:, column]).sum(axis=(1, 2))
    return scores


def test_edge_dots_against_loops():
    rng = np.random.default_rng(0)
    deltas, gradients = rng.normal(size=(3, 5, 4)), rng.normal(size=(6, 5, 4))
    found = edge_dots(jnp.asarray(deltas, jnp.float32), jnp.asarray(gradients, jnp.float32))
    assert found.shape == (3, 6) and found.dtype == jnp.float32
    for s, j in np.ndindex(3, 6):
        np.testing.assert_allclose(found[s, j], np.sum(deltas[s] * gradients[j]), rtol=1e-5, atol=1e-5)


# The batch has 11 positions: 1 and 11 divide them, 3 leaves a last chunk that overlaps by one, 7 one by three.
@pytest.mark.parametrize("chunk", [1, 3, 7, 11])
def test_chunks_add_up(tiny: TinyModel, batch: Batch, trace: Trace, expected: np.ndarray, chunk: int):
    assert batch.tokens.shape[1] == 11
    assert_scores_close(run_contraction(tiny, trace, "head", chunk), expected, ROUNDING)


@pytest.mark.parametrize("groups", [1, 2, 3])
def test_layer_groups_leave_out_nothing(
    tiny: TinyModel, trace: Trace, expected: np.ndarray, groups: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(node_order, "GROUPED_FROM", 0)
    monkeypatch.setattr(node_order, "LAYER_GROUPS", groups)
    assert len(node_order.layer_groups(EdgeGraph.for_config(tiny.model.config, "head"))) == groups
    assert_scores_close(run_contraction(tiny, trace, "head", 11), expected, ROUNDING)


def test_pairs_that_are_no_edge_score_exactly_zero(tiny: TinyModel, trace: Trace, expected: np.ndarray):
    mask = EdgeGraph.for_config(tiny.model.config, "head").mask
    found = run_contraction(tiny, trace, "head", 11)
    assert not found[:, ~mask].any()
    assert (found[:, mask] != 0)[np.abs(expected[:, mask]) > 1e-6].all()


def random_destinations(config: ModelConfig, batch: int, length: int) -> Destinations:
    rng = np.random.default_rng(length)
    layered = (config.num_layers, batch, length)

    def draw(*shape: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    return Destinations(
        query=draw(*layered, config.num_heads, config.head_dim),
        key=draw(*layered, config.num_kv_heads, config.head_dim),
        value=draw(*layered, config.num_kv_heads, config.head_dim),
        mlp=draw(*layered, config.embed_dim),
        final=draw(batch, length, config.embed_dim),
        attention_input=draw(*layered, config.embed_dim),
    )


# jaxlib 0.10.2 gets this product and reduction wrong by half of the largest value, but only where arrays are large:
# at head level from 256 positions on, at block level from 1024 (jax issue 39103).
@pytest.mark.parametrize("batch, length", [(2, 9), (1, 1024)])
def test_destination_gradients_against_a_pull_back_in_numpy(tiny: TinyModel, batch: int, length: int):
    # y = W(x / r * s), r = sqrt(mean(x^2) + eps): dy/dx^T g = (s W^T g - x <x, s W^T g> / (D r^2)) / r.
    weights, config = tiny.model.weights, tiny.model.config
    gradients = random_destinations(config, batch, length)
    found = {
        level: np.asarray(jax.jit(lambda each, level=level: each.expand(weights, config, level))(gradients))
        for level in ("block", "head")
    }
    graph = EdgeGraph.for_config(config, "head")
    blocks = np.zeros(found["block"].shape)
    block_nodes = [node[:2] for node in EdgeGraph.for_config(config, "block").destination_nodes]
    for column, (kind, layer, head) in enumerate(graph.destination_nodes):
        if kind in ("mlp", "logits"):
            expected = np.asarray(gradients.final if kind == "logits" else gradients.mlp[layer])
        else:
            projection = np.asarray(weights["layers"][kind][layer][:, head], np.float64)
            scaled = np.asarray(getattr(gradients, kind)[layer, :, :, head], np.float64) @ projection.T
            scaled *= np.asarray(weights["layers"]["attention_norm"][layer], np.float64)
            x = np.asarray(gradients.attention_input[layer], np.float64)
            root = np.sqrt((x**2).mean(axis=-1, keepdims=True) + config.norm_epsilon)
            along = (x * scaled).sum(axis=-1, keepdims=True) / (config.embed_dim * root**2)
            expected = (scaled - x * along) / root
        np.testing.assert_allclose(found["head"][:, column], expected, rtol=0, atol=1e-6 * np.abs(expected).max())
        blocks[:, block_nodes.index((kind, layer))] += expected
    np.testing.assert_allclose(found["block"], blocks, rtol=0, atol=1e-6 * np.abs(blocks).max())


def test_automatic_chunk_keeps_to_its_budget(tiny: TinyModel):
    config = tiny.model.config
    graph = EdgeGraph.for_config(config, "head")
    nodes = len(graph.sources) + len(graph.destinations)
    position = 4 * nodes * config.embed_dim  # bytes that one position of one example takes in float32
    # A divisor of at least half the budget; else even chunks, of which the last is nearly as long as the others.
    for length, positions, chunk in [(100, 100, 100), (100, 30, 25), (128, 43, 32), (97, 30, 25), (50, 1, 1)]:
        assert automatic_chunk(graph, config, length, budget=positions * position) == chunk
    assert automatic_chunk(graph, config, 4096, budget=1) == 1
    assert automatic_chunk(graph, config, 5, budget=2**40) == 5
