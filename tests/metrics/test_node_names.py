from typing import get_args

import pytest

from jaxeap.attribution.graph import DestinationKind, EdgeGraph, SourceKind
from jaxeap.metrics.node_names import (
    DESTINATION_KINDS,
    SOURCE_KINDS,
    destination_kind,
    kind_of_node,
    layer_of_node,
    source_kind,
)
from tests.tiny_decoder import tiny_decoder


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("embed", None),
        ("logits", None),
        ("a0", 0),
        ("m12", 12),
        ("a3<q>", 3),
        ("a10.h7", 10),
        ("a10.h7<q>", 10),
        ("a4.kv0<v>", 4),
    ],
)
def test_both_levels(name, layer):
    assert layer_of_node(name) == layer


@pytest.mark.parametrize("name", ["", "input", "b3", "a", "a3<x>", "a3.h", "m2 ", "xa3"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="not a node name"):
        layer_of_node(name)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("embed", "embed"), ("a3", "attention"), ("a12.h1", "attention"), ("m0", "mlp")],
)
def test_what_writes(name, kind):
    assert source_kind(name) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [("logits", "logits"), ("m4", "mlp"), ("a3<q>", "query"), ("a0.h2<q>", "query"), ("a1.kv0<k>", "key"),
     ("a0.kv1<v>", "value")],
)  # fmt: skip
def test_what_reads(name, kind):
    assert destination_kind(name) == kind


def test_sources_are_not_destinations():
    with pytest.raises(ValueError, match="'a3<q>' is a destination"):
        source_kind("a3<q>")
    with pytest.raises(ValueError, match="'a3' is a source"):
        destination_kind("a3")
    with pytest.raises(ValueError, match="'x1' is not a node name"):
        destination_kind("x1")


@pytest.mark.parametrize("level", ["block", "head"])
def test_kinds_are_those_of_the_graph(level):
    graph = EdgeGraph.for_config(tiny_decoder().config, level)
    assert [source_kind(name) for name in graph.sources] == [node.kind for node in graph.source_nodes]
    assert [destination_kind(name) for name in graph.destinations] == [node.kind for node in graph.destination_nodes]
    assert set(SOURCE_KINDS) == set(get_args(SourceKind)) and set(DESTINATION_KINDS) == set(get_args(DestinationKind))
    for name in (*graph.sources, *graph.destinations):
        assert kind_of_node(name) in (*SOURCE_KINDS, *DESTINATION_KINDS)
