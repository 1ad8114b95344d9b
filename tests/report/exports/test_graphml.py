"""The file as networkx reads it, and as plain XML where networkx is missing."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from jaxeap.report.exports import write_graphml

SOURCES = ("embed", "a0.h0", "a0.h1", "m0")
DESTINATIONS = ("a0.h0<q>", "a0.h1<q>", "a0.kv0<k>", "a0.kv0<v>", "m0", "logits")
LISTED = np.array([[1, 0, 1, 0, 0, 1], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]], bool)
FEEDS = [("a0.h0<q>", "a0.h0"), ("a0.h1<q>", "a0.h1"), ("a0.kv0<k>", "a0.h0"), ("a0.kv0<k>", "a0.h1"), ("m0", "m0")]


def written(tmp_path):
    base = np.arange(24, dtype=np.float32).reshape(4, 6) / 7
    base[3, 5] = np.nan
    columns = {"base": base, "in_base": base > 1, "change": np.full((4, 6), "appear")}
    return base, write_graphml(tmp_path / "circuits.graphml", SOURCES, DESTINATIONS, LISTED, columns, FEEDS)


def test_networkx_reads_back_nodes_edges_and_their_attributes(tmp_path):
    networkx = pytest.importorskip("networkx")
    base, path = written(tmp_path)
    graph = networkx.read_graphml(path)
    assert graph.is_directed() and not graph.is_multigraph()
    assert set(graph.nodes) == {"embed", "a0.h0<q>", "a0.kv0<k>", "a0.h0", "m0", "logits"}
    assert graph.nodes["a0.kv0<k>"] == {"kind": "key", "layer": 0}
    assert graph.nodes["embed"] == {"kind": "embed"}
    residual = {(s, d): data for s, d, data in graph.edges(data=True) if data["kind"] == "residual"}
    expected = {(SOURCES[row], DESTINATIONS[column]): (row, column) for row, column in np.argwhere(LISTED)}
    assert set(residual) == set(expected)
    for pair, place in expected.items():
        if pair == ("m0", "logits"):
            assert residual[pair] == {"kind": "residual", "in_base": False, "change": "appear"}  # NaN has no word
        else:
            value = float(base[place])
            assert residual[pair] == {"kind": "residual", "base": value, "in_base": value > 1, "change": "appear"}
    computes = {(s, d) for s, d, data in graph.edges(data=True) if data["kind"] == "computes"}
    assert computes == {("a0.h0<q>", "a0.h0"), ("a0.kv0<k>", "a0.h0")}  # what no listed edge touches is left out
    assert networkx.has_path(graph, "embed", "logits")
    assert networkx.shortest_path(graph, "a0.kv0<k>", "logits") == ["a0.kv0<k>", "a0.h0", "m0", "logits"]
    assert networkx.is_directed_acyclic_graph(graph)


def test_it_is_graphml_with_declared_attributes(tmp_path):
    _, path = written(tmp_path)
    space = "{http://graphml.graphdrawing.org/xmlns}"
    root = ElementTree.parse(path).getroot()
    assert root.tag == f"{space}graphml"
    types = {key.get("id"): key.get("attr.type") for key in root.findall(f"{space}key")}
    assert types == {"node_kind": "string", "node_layer": "long", "edge_kind": "string", "edge_base": "double",
                     "edge_in_base": "boolean", "edge_change": "string"}  # fmt: skip
    graph = root.find(f"{space}graph")
    assert graph.get("edgedefault") == "directed"
    used = {data.get("key") for data in graph.iter(f"{space}data")}
    assert used == set(types)
