"""Pruning against hand-worked graphs, and against a walk over every node by its name."""

import numpy as np
import pytest

from jaxeap.attribution.circuits.circuit import Circuit
from jaxeap.attribution.circuits.pruning import prune, sources_fed, widest_paths
from jaxeap.attribution.graph import EdgeGraph
from tests.attribution.circuits.conftest import random_circuits
from tests.attribution.circuits.named_nodes import fed_by


def circuit_of(graph: EdgeGraph, *edges: str) -> Circuit:
    matrix = np.zeros_like(graph.mask)
    for edge in edges:
        matrix[graph.edge_index(*edge.split("->"))] = True
    return Circuit.of(matrix, graph)


def walk(circuit: Circuit) -> set[str]:
    """Edges on a path embed -> ... -> logits: those reached from both ends, stepping until nothing moves."""
    edges = {tuple(edge.split("->")) for edge in circuit.edge_names}
    reached, leading = {"embed"}, {"logits"}
    for _ in range(len(circuit.graph.sources)):
        reached |= {node for source, reader in edges if source in reached for node in fed_by(reader)}
        leading |= {source for source, reader in edges if reader == "logits" or leading & set(fed_by(reader))}
    return {
        f"{source}->{reader}"
        for source, reader in edges
        if source in reached and (reader == "logits" or leading & set(fed_by(reader)))
    }


def test_nodes_and_their_inputs(graph: EdgeGraph):
    for destination, rows in zip(graph.destinations, sources_fed(graph), strict=True):
        assert [graph.sources[row] for row in rows] == fed_by(destination)


@pytest.mark.parametrize(
    "edges, left",
    [
        (["embed->logits"], 1),
        (["embed->m0"], 0),  # leads nowhere
        (["m0->logits"], 0),  # nothing comes in
        (["embed->m0", "m0->logits"], 2),
        (["embed->a0<k>", "a0->m1", "m1->logits"], 3),  # through the keys is a path as well
        (["embed->a0<q>", "a0->m0", "m0->a1<v>", "a1->logits", "a0->m2", "m1->logits"], 4),
        (["embed->m1", "m0->a1<q>", "a1->logits"], 0),  # m1 writes after a1 read
    ],
)
def test_block_level_by_hand(tiny, edges: list[str], left: int):
    graph = EdgeGraph.for_config(tiny.model.config, "block")
    pruned = prune(circuit_of(graph, *edges))
    assert (pruned.asked, pruned.kept) == (len(edges), left)


@pytest.mark.parametrize(
    "edges, left",
    [
        (["embed->a0.h4<q>", "a0.h4->logits"], 2),
        (["embed->a0.h4<q>", "a0.h5->logits"], 0),
        (["embed->a0.kv1<v>", "a0.h4->logits"], 2),
        (["embed->a0.kv1<v>", "a0.h3->logits", "a0.h5->m2", "m2->logits"], 4),  # one value, two readers
        (["embed->a0.kv1<v>", "a0.h2->logits"], 0),  # head 2 reads key/value head 0
        (["embed->a0.kv0<k>", "a0.h2->logits", "a0.h3->logits"], 2),
    ],
)
def test_head_level_by_hand(tiny, edges: list[str], left: int):
    graph = EdgeGraph.for_config(tiny.model.config, "head")
    assert prune(circuit_of(graph, *edges)).kept == left


def test_random_circuits_agree_with_a_walk(graph: EdgeGraph):
    lost = 0
    for seed in range(20):
        for edges in random_circuits(graph, seed):
            circuit = Circuit.of(edges, graph)
            pruned = prune(circuit)
            assert set(pruned.edge_names) == walk(circuit)
            assert prune(pruned).kept == pruned.kept
            lost += circuit.kept - pruned.kept
    assert lost > 0


def test_widest_paths_answer_for_every_threshold(graph: EdgeGraph):
    strength = np.where(graph.mask, np.random.default_rng(0).normal(size=graph.mask.shape), -np.inf)
    widest = widest_paths(strength, graph)
    np.testing.assert_array_equal(np.isneginf(widest), ~graph.mask)
    for threshold in np.quantile(strength[graph.mask], [0, 0.3, 0.6, 0.9, 1]):
        expected = prune(Circuit.of(strength >= threshold, graph)).edges
        np.testing.assert_array_equal(widest >= threshold, expected)
