"""The graph of a two-layer decoder written out by hand, and the formulas for its size."""

import dataclasses

import numpy as np
import pytest

from jaxeap.attribution.graph import Destination, EdgeGraph, Level, Source
from jaxeap.models.config import ModelConfig
from tests.attribution.tiny import TinyModel

BLOCK_SOURCES = ("embed", "a0", "m0", "a1", "m1")
BLOCK_DESTINATIONS = ("a0<q>", "a0<k>", "a0<v>", "m0", "a1<q>", "a1<k>", "a1<v>", "m1", "logits")
BLOCK_MASK = [
    [1, 1, 1, 1, 1, 1, 1, 1, 1],  # embed
    [0, 0, 0, 1, 1, 1, 1, 1, 1],  # a0: the feed-forward layer of the same block reads it
    [0, 0, 0, 0, 1, 1, 1, 1, 1],  # m0
    [0, 0, 0, 0, 0, 0, 0, 1, 1],  # a1
    [0, 0, 0, 0, 0, 0, 0, 0, 1],  # m1
]
HEAD_SOURCES = ("embed", "a0.h0", "a0.h1", "a0.h2", "a0.h3", "m0", "a1.h0", "a1.h1", "a1.h2", "a1.h3", "m1")
# fmt: off
HEAD_DESTINATIONS = (
    "a0.h0<q>", "a0.h1<q>", "a0.h2<q>", "a0.h3<q>", "a0.kv0<k>", "a0.kv1<k>", "a0.kv0<v>", "a0.kv1<v>", "m0",
    "a1.h0<q>", "a1.h1<q>", "a1.h2<q>", "a1.h3<q>", "a1.kv0<k>", "a1.kv1<k>", "a1.kv0<v>", "a1.kv1<v>", "m1",
    "logits",
)
# fmt: on


def config_of(like: TinyModel, layers: int, heads: int, kv_heads: int) -> ModelConfig:
    return dataclasses.replace(
        like.model.config, num_layers=layers, num_heads=heads, num_kv_heads=kv_heads, windows=(None,) * layers
    )


@pytest.fixture(scope="module")
def config(tiny: TinyModel) -> ModelConfig:
    return config_of(tiny, layers=2, heads=4, kv_heads=2)


def test_block_level_by_hand(config: ModelConfig):
    graph = EdgeGraph.for_config(config)
    assert graph.level == "block"
    assert graph.sources == BLOCK_SOURCES
    assert graph.destinations == BLOCK_DESTINATIONS
    np.testing.assert_array_equal(graph.mask, np.array(BLOCK_MASK, bool))
    assert graph.num_edges == 23


def test_head_level_by_hand(config: ModelConfig):
    graph = EdgeGraph.for_config(config, "head")
    assert graph.sources == HEAD_SOURCES
    assert graph.destinations == HEAD_DESTINATIONS
    # A head is written and read when its block is, so the mask is the block's with every row and column repeated.
    rows = np.repeat(np.array(BLOCK_MASK, bool), [1, 4, 1, 4, 1], axis=0)
    np.testing.assert_array_equal(graph.mask, np.repeat(rows, [4, 2, 2, 1, 4, 2, 2, 1, 1], axis=1))


def test_nodes_say_what_names_say(config: ModelConfig):
    graph = EdgeGraph.for_config(config, "head")
    assert graph.source_nodes[0].kind == "embed"
    assert graph.source_nodes[8] == Source("attention", 1, 2)
    assert graph.source_nodes[-1] == Source("mlp", 1)
    assert graph.destination_nodes[2] == Destination("query", 0, 2)
    assert graph.destination_nodes[14] == Destination("key", 1, 1)
    assert graph.destination_nodes[15] == Destination("value", 1, 0)
    assert graph.destination_nodes[-2] == Destination("mlp", 1)
    assert graph.destination_nodes[-1].kind == "logits"
    assert len(graph.source_nodes) == len(graph.sources)
    assert len(graph.destination_nodes) == len(graph.destinations)


@pytest.mark.parametrize("layers, heads, kv_heads", [(1, 1, 1), (2, 4, 2), (3, 6, 2), (28, 28, 4)])
def test_number_of_edges(tiny: TinyModel, layers: int, heads: int, kv_heads: int):
    config = config_of(tiny, layers, heads, kv_heads)
    # Sums over layers l of (readers in the layer's attention) * (sources before it), its mlp's sources, and logits'.
    assert EdgeGraph.for_config(config, "block").num_edges == 4 * layers**2 + 3 * layers + 1
    before_attention = sum(1 + layer * (heads + 1) for layer in range(layers))
    before_mlp = before_attention + layers * heads
    expected = (heads + 2 * kv_heads) * before_attention + before_mlp + 1 + layers * (heads + 1)
    assert EdgeGraph.for_config(config, "head").num_edges == expected


@pytest.mark.parametrize("level", ["block", "head"])
def test_edge_index_finds_every_edge_and_nothing_else(config: ModelConfig, level: Level):
    graph = EdgeGraph.for_config(config, level)
    for row, source in enumerate(graph.sources):
        for column, destination in enumerate(graph.destinations):
            if graph.mask[row, column]:
                assert graph.edge_index(source, destination) == (row, column)
            else:
                with pytest.raises(ValueError, match=f"{source} -> {destination} is no edge"):
                    graph.edge_index(source, destination)


@pytest.mark.parametrize(
    "source, destination, named",
    [
        ("a2", "logits", "'a2'"),
        ("logits", "m1", "'logits'"),
        ("embed", "m2", "'m2'"),
        ("embed", "a0.h0<q>", "a0.h0<q>"),
    ],
)
def test_an_unknown_node_is_named(config: ModelConfig, source: str, destination: str, named: str):
    with pytest.raises(ValueError, match=f"{named}.* not in the block-level graph"):
        EdgeGraph.for_config(config).edge_index(source, destination)


def test_edge_names(config: ModelConfig):
    graph = EdgeGraph.for_config(config)
    edges = np.array([graph.edge_index("a0", "m0"), graph.edge_index("embed", "logits")])
    assert graph.edge_names(edges) == ["a0->m0", "embed->logits"]


def test_unknown_level(config: ModelConfig):
    with pytest.raises(ValueError, match="level 'neuron' is unknown; use 'block' or 'head'"):
        EdgeGraph.for_config(config, "neuron")
