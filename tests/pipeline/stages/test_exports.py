"""What the exports hold of a finished run: the numbers of its scores and its circuits."""

import csv
import json

import numpy as np
import pytest

from jaxeap.pipeline.scoring.scores import read_scores
from jaxeap.pipeline.stages.attribute import nodes_of
from jaxeap.pipeline.stages.circuits import ShownCircuits, circuits_of, shown_circuits_of
from jaxeap.pipeline.stages.contrast import edges_of
from jaxeap.pipeline.stages.exports import edge_columns, strongest_edges
from jaxeap.pipeline.stages.select import selection_of


@pytest.fixture
def scores(finished_run):
    ids = selection_of(finished_run / "select").question_ids
    folders = [finished_run / "attribute" / f"{role}_on_{role}_text" for role in ("base", "tuned")]
    return [read_scores(folder, ids).scores.astype(np.float64) for folder in folders]


def test_every_edge_has_its_means_and_its_circuits(finished_run, scores):
    rows = list(csv.DictReader((finished_run / "exports" / "edges.csv").open(encoding="utf-8")))
    nodes, shown = nodes_of(finished_run / "attribute"), shown_circuits_of(finished_run / "circuits")
    assert len(rows) == nodes.mask.sum()
    changes = circuits_of(finished_run / "circuits")["changes"]
    change_of = {(e["source"], e["destination"]): change for change, edges in changes.items() for e in edges}
    statistics = edges_of(finished_run / "contrast")
    for row in rows:
        place = nodes.sources.index(row["source"]), nodes.destinations.index(row["destination"])
        base, tuned = (np.abs(array[:, *place]).mean() for array in scores)
        np.testing.assert_allclose([float(row["base"]), float(row["tuned"])], [base, tuned], rtol=1e-6)
        np.testing.assert_allclose(float(row["difference"]), tuned - base, atol=1e-6 * max(base, tuned))
        np.testing.assert_allclose(float(row["base_signed"]), scores[0][:, *place].mean(), rtol=1e-5, atol=1e-9)
        assert (row["in_base"], row["in_tuned"]) == (str(int(shown.base[place])), str(int(shown.tuned[place])))
        assert row["change"] == change_of.get((row["source"], row["destination"]), "")
        np.testing.assert_allclose(float(row["low"]), statistics["low"][place], rtol=1e-6)


def test_without_the_edge_statistics_the_means_are_made_of_the_scores(finished_run, tmp_path):
    with_statistics = edge_columns(finished_run / "contrast", finished_run / "attribute", finished_run / "select")
    without = edge_columns(tmp_path, finished_run / "attribute", finished_run / "select")
    assert list(without) == ["base", "tuned", "difference", "base_signed", "tuned_signed"]
    mask = nodes_of(finished_run / "attribute").mask
    for name, array in without.items():
        np.testing.assert_allclose(array[mask], with_statistics[name][mask], rtol=1e-5, atol=1e-9)


def test_the_graphs_are_the_circuits(finished_run):
    nodes, shown = nodes_of(finished_run / "attribute"), shown_circuits_of(finished_run / "circuits")
    for role, circuit in (("base", shown.base), ("tuned", shown.tuned)):
        content = json.loads((finished_run / "exports" / f"{role}.eap_ig.json").read_text())
        assert content["cfg"] == {"n_layers": 2, "n_heads": 1, "parallel_attn_mlp": False, "d_model": 16}
        inside = {name for name, edge in content["edges"].items() if edge["in_graph"]}
        assert len(inside) == circuit.sum() == 12
        assert ("m1->logits" in inside) == circuit[nodes.sources.index("m1"), nodes.destinations.index("logits")]
        assert len(content["edges"]) == nodes.mask.sum()


def test_graphs_keep_both_circuits_and_then_the_strongest_edges():
    mask = np.ones((3, 3), bool)
    mask[2, 0] = False
    base, tuned = np.zeros((3, 3), bool), np.zeros((3, 3), bool)
    base[0, 0] = tuned[1, 1] = True
    strength = np.arange(9.0).reshape(3, 3)
    shown = ShownCircuits(base, tuned, strength, strength[::-1].copy())
    # the larger of both strengths: 6 7 8 / 3 4 5 / - 7 8
    kept = strongest_edges(shown, mask, 4)
    assert {tuple(place) for place in np.argwhere(kept).tolist()} == {(0, 0), (1, 1), (0, 2), (2, 2)}
    assert strongest_edges(shown, mask, 1).sum() == 2
    np.testing.assert_array_equal(strongest_edges(shown, mask, 100), mask)
