import base64

import numpy as np
import pytest

from jaxeap.report.page import ScoredEdges
from jaxeap.report.page.kept_edges import block_data, block_of, edge_data, leaves_zero_out, strongest
from tests.report.page.finished import block_graph, head_graph, random_scores, scored_edges


def unpack(packed: dict) -> np.ndarray:
    dtype = {"float32": "<f4", "uint32": "<u4"}[packed["dtype"]]
    return np.frombuffer(base64.b64decode(packed["base64"]), dtype).reshape(packed["shape"])


@pytest.fixture(scope="module")
def heads() -> ScoredEdges:
    graph = head_graph(layers=2, heads=4, kv_heads=2)
    return scored_edges("head", graph, *random_scores(graph[2], examples=5))


def test_the_strongest_edges_of_either_model_are_kept(heads: ScoredEdges):
    strength = np.maximum(heads.values["base"], heads.values["tuned"])
    order = sorted(np.flatnonzero(heads.mask), key=lambda place: -strength.ravel()[place])
    for most in (1, 7, int(heads.mask.sum()), 10_000):
        assert sorted(order[:most]) == strongest(heads, most).tolist()


def test_shares_tell_how_much_of_the_score_is_kept(heads: ScoredEdges):
    kept = strongest(heads, 5)
    data = edge_data(heads, kept)
    assert data["total"] == heads.mask.sum()
    assert not data["complete"]
    for role, share in data["kept_share"].items():
        values = heads.values[role]
        np.testing.assert_allclose(share, values.ravel()[kept].sum() / values[heads.mask].sum(), rtol=1e-5)


def test_blocks_are_means_over_the_edges_between_them(heads: ScoredEdges):
    data = block_data(heads)
    sources, destinations, _ = block_graph(2)
    assert data["sources"] == list(sources)
    assert data["destinations"] == list(destinations)
    apart = leaves_zero_out(heads)
    for s, source in enumerate(sources):
        for d, destination in enumerate(destinations):
            cells = [
                (i, j)
                for i, one in enumerate(heads.sources)
                for j, other in enumerate(heads.destinations)
                if heads.mask[i, j] and block_of(one) == source and block_of(other) == destination
            ]
            assert unpack(data["edges"])[s, d] == len(cells)
            assert unpack(data["apart"])[s, d] == sum(apart[cell] for cell in cells)
            discovered = sum(heads.values["q_value"][cell] <= 0.05 for cell in cells)
            assert unpack(data["discovered"])[s, d] == discovered
            for role in ("base", "tuned"):
                mean = np.mean([heads.values[role][cell] for cell in cells]) if cells else np.nan
                np.testing.assert_allclose(unpack(data[role])[s, d], mean, rtol=1e-5)


def test_names_of_blocks():
    names = {
        "a3.h1": "a3",
        "a3.h12<q>": "a3<q>",
        "a3.kv0<v>": "a3<v>",
        "m3": "m3",
        "a3<k>": "a3<k>",
        "logits": "logits",
    }
    assert {name: block_of(name) for name in names} == names


def test_non_edges_and_missing_intervals_leave_nothing_out(heads: ScoredEdges):
    assert not leaves_zero_out(heads)[~heads.mask].any()
    without = {name: values for name, values in heads.values.items() if name in ("base", "tuned")}
    bare = ScoredEdges("head", heads.sources, heads.destinations, heads.mask, without)
    assert not leaves_zero_out(bare).any()
    assert set(edge_data(bare, strongest(bare))["arrays"]) == {"base", "tuned"}
