"""The JSON against the graph that EAP-IG's `Graph.from_model` builds of its `cfg`, written down anew from its rules."""

import dataclasses
import json

import numpy as np
import pytest

from jaxeap.attribution.graph import EdgeGraph
from jaxeap.report.exports import EapIgShape, eap_ig_graph
from tests.pipeline.conftest import tiny_model_config


def eap_ig_names(cfg) -> tuple[set[str], set[str]]:
    """Nodes and edges of EAP-IG's graph: each head reads q, k and v of all that was written before it."""
    written, nodes, edges = ["input"], {"input", "logits"}, set()
    for layer in range(cfg["n_layers"]):
        heads = [f"a{layer}.h{head}" for head in range(cfg["n_heads"])]
        edges |= {f"{node}->{head}<{letter}>" for node in written for head in heads for letter in "qkv"}
        if not cfg["parallel_attn_mlp"]:
            written = written + heads
        edges |= {f"{node}->m{layer}" for node in written}
        written = [*written, *(head for head in heads if head not in written), f"m{layer}"]
        nodes |= {*heads, f"m{layer}"}
    return nodes, edges | {f"{node}->logits" for node in written}


def exported(level, parallel=False, share=0.4):
    config = dataclasses.replace(tiny_model_config(), num_heads=4, num_kv_heads=2, parallel_blocks=parallel)
    graph = EdgeGraph.for_config(config, level)
    rng = np.random.default_rng(0)
    scores, circuit = (
        rng.normal(size=graph.mask.shape) * graph.mask,
        graph.mask & (rng.random(graph.mask.shape) < share),
    )
    heads, kv_heads = (4, 2) if level == "head" else (1, 1)
    shape = EapIgShape(config.num_layers, heads, kv_heads, config.embed_dim, parallel)
    content = eap_ig_graph(scores, circuit, graph.mask, graph.sources, graph.destinations, shape)
    return graph, scores, circuit, json.loads(json.dumps(content))


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("level", ["block", "head"])
def test_nodes_and_edges_are_those_that_eap_ig_builds_of_the_cfg(level, parallel):
    _, _, _, content = exported(level, parallel)
    assert set(content) == {"cfg", "nodes", "edges"}
    nodes, edges = eap_ig_names(content["cfg"])
    assert set(content["nodes"]) == nodes
    assert set(content["edges"]) == edges
    assert all(set(edge) == {"score", "in_graph"} for edge in content["edges"].values())


@pytest.mark.parametrize("level", ["block", "head"])
def test_scores_add_up_and_membership_is_kept(level):
    graph, scores, circuit, content = exported(level)
    total = sum(edge["score"] for edge in content["edges"].values())
    np.testing.assert_allclose(total, scores.sum(), rtol=1e-12)
    into_logits = {name: edge for name, edge in content["edges"].items() if name.endswith("->logits")}
    column = graph.destinations.index("logits")
    assert [edge["score"] for edge in into_logits.values()] == scores[:, column].tolist()
    assert [edge["in_graph"] for edge in into_logits.values()] == circuit[:, column].tolist()


def test_a_shared_key_is_in_the_graph_of_all_its_heads():
    graph, scores, circuit, content = exported("head")
    row, column = graph.edge_index("m0", "a1.kv1<k>")
    for head in (2, 3):
        edge = content["edges"][f"m0->a1.h{head}<k>"]
        assert edge == {"score": scores[row, column] / 2, "in_graph": bool(circuit[row, column])}


def test_a_node_is_in_the_graph_where_edges_enter_and_leave_it():
    _, _, _, content = exported("head", share=0.08)
    inside = [name for name, edge in content["edges"].items() if edge["in_graph"]]
    left = {name.partition("->")[0] for name in inside}
    entered = {name.partition("->")[2].partition("<")[0] for name in inside} | {"input"}
    found = {name for name, node in content["nodes"].items() if node["in_graph"]}
    assert found == (left & entered) | {"logits"}
    assert len(found) < len(content["nodes"])


def test_an_edge_of_the_circuit_that_is_not_listed_is_refused():
    graph = EdgeGraph.for_config(tiny_model_config())
    with pytest.raises(ValueError, match="not among the listed"):
        eap_ig_graph(
            np.zeros(graph.mask.shape), graph.mask, graph.mask & False, graph.sources, graph.destinations,
            EapIgShape(2, 1, 1, 16, False),
        )  # fmt: skip
