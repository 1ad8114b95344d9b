"""Choosing edges on hand-worked scores, and properties of every choice."""

import itertools

import numpy as np
import pytest

from jaxeap.attribution.circuits.circuit import Circuit
from jaxeap.attribution.circuits.pruning import prune
from jaxeap.attribution.circuits.selection import (
    ORDERS,
    edge_strength,
    edges_above,
    greedy_edges,
    greedy_order,
    nested_circuits,
    top_edges,
)
from jaxeap.attribution.graph import EdgeGraph
from tests.attribution.circuits.named_nodes import fed_by
from tests.attribution.tiny import TinyModel

# Not on a path: the two strongest. Paths of length 1, 2 and 3 by falling strength.
SCORES = {
    "m0->a2<k>": -9.0,
    "embed->a1<q>": 8.0,
    "embed->m0": 7.0,
    "m0->logits": -6.0,
    "m1->logits": 5.0,
    "embed->logits": 4.0,
    "a0->m1": 3.0,
    "embed->a0<v>": 2.0,
}


@pytest.fixture(scope="module")
def block(tiny: TinyModel) -> EdgeGraph:
    return EdgeGraph.for_config(tiny.model.config, "block")


@pytest.fixture(scope="module")
def scores(block: EdgeGraph) -> np.ndarray:
    """[S, J]: SCORES, and for all other edges next to nothing."""
    matrix = np.where(block.mask, 1e-3, 0.0)
    for name, score in SCORES.items():
        matrix[block.edge_index(*name.split("->"))] = score
    return matrix


@pytest.mark.parametrize(
    "n, left",
    [
        (0, []),
        (2, []),
        (3, []),
        (4, ["embed->m0", "m0->logits"]),
        (6, ["embed->m0", "m0->logits", "embed->logits"]),
        (7, ["embed->m0", "m0->logits", "embed->logits"]),
        (8, ["embed->m0", "m0->logits", "embed->logits", "m1->logits", "a0->m1", "embed->a0<v>"]),
    ],
)
def test_top_edges_are_pruned_and_both_numbers_reported(block: EdgeGraph, scores: np.ndarray, n: int, left: list[str]):
    circuit = top_edges(scores, block, n)
    assert sorted(circuit.edge_names) == sorted(left)
    assert (circuit.asked, circuit.kept) == (n, len(left))


@pytest.mark.parametrize("n, kept", [(0, 0), (1, 0), (2, 2), (3, 3), (4, 3), (5, 6), (6, 6)])
def test_top_edges_after_pruning_keep_as_near_to_n_as_can_be(block: EdgeGraph, scores: np.ndarray, n: int, kept: int):
    """Kept along the ranking: 0, 2, 3, 6, then more; 1 is as near to 0 as to 2, and the smaller wins."""
    circuit = top_edges(scores, block, n, after_pruning=True)
    assert (circuit.asked, circuit.kept) == (n, kept)


def test_greedy_goes_backwards_from_the_logits(block: EdgeGraph, scores: np.ndarray):
    order = greedy_order(edge_strength(scores, block), block)
    names = block.edge_names(np.argwhere(block.mask)[np.searchsorted(np.flatnonzero(block.mask), order)])
    # The strongest into the logits is m0's; that opens m0, whose input is stronger than all that is left; and so on.
    expected = ["m0->logits", "embed->m0", "m1->logits", "embed->logits", "a0->m1", "embed->a0<v>"]
    assert names[:6] == expected
    assert sorted(names) == sorted(block.edge_names(np.argwhere(block.mask)))
    for n, kept in [(1, 0), (2, 2), (3, 2), (4, 3), (5, 3), (6, 6)]:
        circuit = greedy_edges(scores, block, n)
        assert (circuit.asked, circuit.kept) == (n, kept)
        assert set(circuit.edge_names) <= set(expected[:n])
    assert greedy_edges(scores, block, 5, after_pruning=True).kept == 6


def test_greedy_opens_every_reader_of_a_head(tiny: TinyModel):
    graph = EdgeGraph.for_config(tiny.model.config, "head")
    scores = np.where(graph.mask, 1e-3, 0.0)
    strong = ["a1.h4->logits", "embed->a1.kv1<k>", "embed->a1.h4<q>", "embed->a1.kv1<v>"]
    for score, name in zip((4, 3, 2, 1), strong, strict=True):
        scores[graph.edge_index(*name.split("->"))] = score
    scores[graph.edge_index("embed", "a1.h5<q>")] = 9  # of a head that leads nowhere
    circuit = greedy_edges(scores, graph, 4)
    assert sorted(circuit.edge_names) == sorted(strong)


def test_greedy_agrees_with_a_search_over_all_edges(graph: EdgeGraph):
    strength = np.where(graph.mask, np.random.default_rng(1).normal(size=graph.mask.shape), -np.inf)
    found = greedy_order(strength, graph)[:60]
    inside, taken = {"logits"}, []
    for _ in found:
        open_columns = [
            column for column, name in enumerate(graph.destinations) if name == "logits" or inside & set(fed_by(name))
        ]
        candidates = [
            (strength[row, column], row, column)
            for row, column in itertools.product(range(len(graph.sources)), open_columns)
            if graph.mask[row, column] and (row, column) not in taken
        ]
        _, row, column = max(candidates)
        taken.append((row, column))
        inside.add(graph.sources[row])
    assert [divmod(index, len(graph.destinations)) for index in found] == taken


def test_edges_above_count_before_and_after_pruning(block: EdgeGraph, scores: np.ndarray):
    circuit = edges_above(scores, block, 4.0)
    assert (circuit.asked, circuit.kept) == (6, 3)
    assert edges_above(scores, block, 4.0, by="mean").asked == 4  # two of the six are negative
    assert edges_above(scores, block, 1e-3).kept == block.num_edges
    assert edges_above(scores, block, 100.0).kept == 0


@pytest.mark.parametrize("select", ORDERS)
@pytest.mark.parametrize("after_pruning", [False, True])
def test_sizes_give_nested_pruned_circuits(graph: EdgeGraph, select: str, after_pruning: bool):
    scores = np.where(graph.mask, np.random.default_rng(2).normal(size=graph.mask.shape), 0.0)
    order = ORDERS[select](edge_strength(scores, graph), graph)
    sizes = [0, 1, 7, 20, graph.num_edges // 2, graph.num_edges]
    circuits = nested_circuits(order, graph, sizes, after_pruning)
    for size, smaller, larger in zip(sizes[1:], circuits, circuits[1:], strict=False):
        assert (smaller.edges <= larger.edges).all()
        assert prune(larger).kept == larger.kept
        if not after_pruning:
            first = np.zeros(graph.mask.size, bool)
            first[order[:size]] = True
            np.testing.assert_array_equal(larger.edges, prune(Circuit.of(first.reshape(graph.mask.shape), graph)).edges)
    assert circuits[-1].kept == graph.num_edges


def test_what_makes_an_edge_strong(block: EdgeGraph):
    scores = np.zeros((2, *block.mask.shape))
    changing, steady, falling = (block.edge_index("embed", name) for name in ("m0", "m1", "logits"))
    scores[:, *changing], scores[:, *steady], scores[:, *falling] = (5, -5), (2, 2), (-3, -3)
    ranked = {
        by: [float(edge_strength(scores, block, by)[edge]) for edge in (changing, steady, falling)]
        for by in ("absolute_mean", "mean_absolute", "mean")
    }
    assert ranked == {"absolute_mean": [0, 2, 3], "mean_absolute": [5, 2, 3], "mean": [0, 2, -3]}
    np.testing.assert_array_equal(np.isneginf(edge_strength(scores, block)), ~block.mask)
    np.testing.assert_array_equal(edge_strength(scores[1], block), np.where(block.mask, np.abs(scores[1]), -np.inf))


def test_refused(block: EdgeGraph, scores: np.ndarray):
    with pytest.raises(ValueError, match="by='size' is unknown"):
        top_edges(scores, block, 3, by="size")
    with pytest.raises(ValueError, match=r"scores \(7, 12\) do not fit"):
        top_edges(scores[:, 1:], block, 3)
    with pytest.raises(ValueError, match=f"-1 edges were asked for; the block-level graph has {block.num_edges}"):
        top_edges(scores, block, -1)
    with pytest.raises(ValueError, match="edges were asked for"):
        greedy_edges(scores, block, block.num_edges + 1)
    with pytest.raises(ValueError, match="no finite score"):
        edges_above(np.where(np.arange(scores.shape[1]) == 3, np.nan, scores), block, 1.0)
    holes = np.where(block.mask, scores, np.nan)  # what is no edge needs no score
    assert top_edges(holes, block, 8).edge_names == top_edges(scores, block, 8).edge_names
