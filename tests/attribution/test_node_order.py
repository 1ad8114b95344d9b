"""Nodes kind by kind and in the graph's order, and the groups of layers that a large product is cut into."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.attribution import node_order
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.node_order import kind_by_kind, layer_by_layer, layer_groups, nodes_of_kind
from tests.attribution.tiny import TinyModel

SOURCE_KINDS = ("embed", "attention", "mlp")
DESTINATION_KINDS = ("query", "key", "value", "mlp", "logits")


def graph_of(tiny: TinyModel, layers: int, level: Level) -> EdgeGraph:
    config = dataclasses.replace(tiny.model.config, num_layers=layers, windows=(None,) * layers)
    return EdgeGraph.for_config(config, level)


@pytest.mark.parametrize("level", ["block", "head"])
@pytest.mark.parametrize("layers, groups", [(1, 4), (2, 2), (3, 4), (5, 4), (28, 4), (6, 6)])
def test_groups_cover_every_edge_once(
    tiny: TinyModel, level: Level, layers: int, groups: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(node_order, "GROUPED_FROM", 0)
    monkeypatch.setattr(node_order, "LAYER_GROUPS", groups)
    graph = graph_of(tiny, layers, level)
    covered = np.zeros(graph.mask.shape, int)
    for group in layer_groups(graph):
        written = kind_by_kind(graph.source_nodes, SOURCE_KINDS, range(-1, group.stop))
        read = kind_by_kind(graph.destination_nodes, DESTINATION_KINDS, group)
        covered[np.ix_(written, read)] += 1
    assert (covered[graph.mask] == 1).all()
    assert covered.max() == 1
    if layers >= groups > 1:
        assert covered.mean() < 0.9  # and the rest is left out


def test_small_graphs_are_not_cut(tiny: TinyModel):
    assert layer_groups(graph_of(tiny, 2, "head")) == [range(0, 3)]
    large = layer_groups(graph_of(tiny, 128, "block"))
    assert large == [range(0, 32), range(32, 64), range(64, 96), range(96, 129)]


def test_kinds_and_layers_name_the_same_nodes(tiny: TinyModel):
    nodes = graph_of(tiny, 3, "head").destination_nodes
    in_order = kind_by_kind(nodes, DESTINATION_KINDS, range(0, 4))
    assert sorted(in_order) == list(range(len(nodes)))
    for kind in DESTINATION_KINDS:
        own = [node for node in nodes if node.kind == kind]
        assert [node for node in own if node.layer in (1, 2)] == own[nodes_of_kind(nodes, kind, range(1, 3))]
    assert [nodes[at].kind for at in in_order] == [kind for kind in DESTINATION_KINDS for n in nodes if n.kind == kind]


def test_layer_by_layer_interleaves():
    wide, narrow = jnp.arange(4.0).reshape(4, 1, 1), jnp.array([10.0, 11.0]).reshape(2, 1, 1)
    assert layer_by_layer([wide, narrow]).ravel().tolist() == [0, 1, 10, 2, 3, 11]
