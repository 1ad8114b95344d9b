import numpy as np
import pytest

from jaxeap.metrics.entry_groups import EntryGroup, entry_groups, example_groups


def test_groups_share_out_the_edges(graph):
    found = entry_groups(graph.mask, graph.sources, graph.destinations)
    assert {kind: list(groups) for kind, groups in found.items()} == {
        "layer": ["0", "1", "logits"],
        "destination_kind": ["query", "key", "value", "mlp", "logits"],
        "source_kind": ["embed", "attention", "mlp"],
    }
    for groups in found.values():
        np.testing.assert_array_equal(sum(edges.astype(int) for edges in groups.values()), graph.mask.astype(int))
    assert found["layer"]["1"].sum() == 3 * 3 + 4  # embed, a0, m0 into q, k, v; these and a1 into m1
    np.testing.assert_array_equal(np.flatnonzero(found["destination_kind"]["key"].any(axis=0)), [1, 5])
    np.testing.assert_array_equal(np.flatnonzero(found["source_kind"]["attention"].any(axis=1)), [1, 3])


def test_head_level_names():
    sources = ("embed", "a0.h0", "a0.h1", "m0")
    destinations = ("a0.h0<q>", "a0.h1<q>", "a0.kv0<k>", "a0.kv0<v>", "m0", "logits")
    mask = np.ones((4, 6), bool)
    found = entry_groups(mask, sources, destinations)
    assert found["destination_kind"]["query"].any(axis=0).sum() == 2
    assert found["source_kind"]["attention"].any(axis=1).sum() == 2


def test_only_what_is_asked_for_and_only_groups_with_edges(graph):
    mask = graph.mask.copy()
    mask[:, 8] = False
    assert list(entry_groups(mask, graph.sources, graph.destinations, ["layer"])["layer"]) == ["0", "1"]
    with pytest.raises(ValueError, match="no breakdown by 'head'"):
        entry_groups(mask, graph.sources, graph.destinations, ["head"])
    with pytest.raises(ValueError, match="8 destination names"):
        entry_groups(mask, graph.sources, graph.destinations[1:])


def test_a_group_is_a_smaller_graph(graph, scores):
    edges = graph.mask & (np.arange(9) % 2 == 0) & (np.arange(5)[:, None] != 1)
    group = EntryGroup.of(edges)
    part = group.take(scores)
    assert part.shape == (7, *group.mask.shape)
    np.testing.assert_array_equal(part[:, group.mask], scores[:, edges])
    assert not part[:, ~group.mask].any()
    with pytest.raises(ValueError, match="at least one edge"):
        EntryGroup.of(np.zeros_like(edges))


def test_a_group_as_large_as_the_matrix_still_holds_its_edges_alone(graph, scores):
    edges = graph.mask & (np.random.default_rng(0).random(graph.mask.shape) < 0.9)
    edges[0] = graph.mask[0]
    edges[:, 8] = True
    group = EntryGroup.of(edges)
    assert group.mask.shape == graph.mask.shape
    np.testing.assert_array_equal(group.take(scores), scores * edges)


def test_examples_by_label():
    found = example_groups(["easy", "", "hard", "easy"])
    assert {label: list(places) for label, places in found.items()} == {"easy": [0, 3], "hard": [2]}
