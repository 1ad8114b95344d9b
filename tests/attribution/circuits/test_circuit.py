"""Circuits as sets of edges: what they count, and what they refuse."""

import numpy as np
import pytest

from jaxeap.attribution.circuits.circuit import Circuit
from jaxeap.attribution.graph import EdgeGraph


def test_all_edges_and_none(graph: EdgeGraph):
    assert Circuit.full(graph).kept == graph.num_edges == Circuit.full(graph).asked
    assert Circuit.full(graph).share == 1
    assert Circuit.empty(graph).kept == 0 == Circuit.empty(graph).share
    Circuit.full(graph).edges[:] = False
    assert graph.mask.any(), "a circuit must not hold the graph's own mask"


def test_names_its_edges(graph: EdgeGraph):
    edges = np.zeros_like(graph.mask)
    edges[graph.edge_index("embed", "m0")] = edges[graph.edge_index("m1", "logits")] = True
    circuit = Circuit.of(edges, graph)
    assert circuit.edge_names == ["embed->m0", "m1->logits"]
    assert circuit.share == 2 / graph.num_edges


def test_refuses_what_is_no_set_of_edges(graph: EdgeGraph):
    with pytest.raises(ValueError, match=r"bool matrix .* got float64"):
        Circuit.of(graph.mask.astype(float), graph)
    with pytest.raises(ValueError, match="bool matrix"):
        Circuit.of(graph.mask[:, 1:], graph)
    edges = graph.mask.copy()
    edges[graph.sources.index("m1"), graph.destinations.index("m0")] = True
    with pytest.raises(ValueError, match="m1->m0 is no edge"):
        Circuit.of(edges, graph)
