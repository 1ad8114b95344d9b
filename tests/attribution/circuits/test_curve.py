"""The curve's areas on hand-worked cases; the curve and its baseline against single circuits."""

import dataclasses

import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits import (
    Circuit,
    Faithfulness,
    FaithfulnessCurve,
    RandomCircuits,
    faithfulness,
    faithfulness_curve,
    greedy_edges,
    top_edges,
)
from jaxeap.attribution.circuits.curve import MIB_SHARES, areas
from jaxeap.attribution.graph import EdgeGraph
from tests.attribution.tiny import TinyModel


@pytest.mark.parametrize(
    "shares, overall, cpr, cmd",
    [
        ([0, 1], [0, 1], 0.5, 0.5),
        ([0, 1], [1, 1], 1, 0),
        ([0, 0.5, 1], [0, 1, 1], 0.75, 0.25),
        ([0, 0.5, 1], [0, 2, 1], 0.25 * (0 + 2) + 0.25 * (2 + 1), 0.25 * (1 + 1) + 0.25 * (1 + 0)),  # overshoot
        ([0, 0.5, 1], [0, -1, 1], -0.25 + 0, 0.25 * (1 + 2) + 0.25 * (2 + 0)),
        ([0.1, 0.2], [0.4, 0.6], 0.05, 0.05),  # only over the shares that were tried
    ],
)
def test_areas_by_hand(shares: list[float], overall: list[float], cpr: float, cmd: float):
    assert areas(np.array(shares), np.array(overall)) == pytest.approx((cpr, cmd))
    stacked = areas(np.array(shares), np.array([overall, np.ones(len(shares))]))
    assert stacked[0] == pytest.approx([cpr, shares[-1] - shares[0]])
    assert stacked[1] == pytest.approx([cmd, 0])


def curve_with(overall: list[float], graph: EdgeGraph) -> FaithfulnessCurve:
    """A curve whose faithfulness is given: the loss is 1 without edges and 0 with all."""
    sizes = np.arange(len(overall))
    edges = np.argwhere(graph.mask)
    circuits = []
    for size in sizes:
        matrix = np.zeros_like(graph.mask)
        matrix[tuple(edges[:size].T)] = True
        circuits.append(Circuit.of(matrix, graph))
    values = 1 - np.array(overall, np.float32)[:, None]
    judged = Faithfulness(tuple(circuits), values, np.zeros(1, np.float32), np.ones(1, np.float32), "loss", "zero")
    return FaithfulnessCurve(sizes, judged, None)


def test_smallest_circuit_from_which_on_it_is_faithful(tiny: TinyModel):
    graph = EdgeGraph.for_config(tiny.model.config, "block")
    curve = curve_with([0, 0.9, 0.5, 0.8, 1.2, 1], graph)
    assert curve.smallest(0.75).kept == 3  # one edge reached 0.9, but two fell back
    assert curve.smallest(0.4).kept == 1
    assert curve.smallest(1).kept == 4
    assert curve.smallest(1.1) is None
    assert curve.cpr == pytest.approx((0.9 + 0.5 + 0.8 + 1.2 + 0.5) / graph.num_edges)
    assert curve.cmd == pytest.approx((0.5 + 0.1 + 0.5 + 0.2 + 0.2) / graph.num_edges)


def test_random_circuits_by_hand():
    overall = np.array([[0.0, 0.2], [0.1, 0.4], [0.2, 0.6]])
    random = RandomCircuits(np.zeros((3, 2), int), overall, *areas(np.array([0.0, 1.0]), overall))
    np.testing.assert_allclose(random.mean, [0.1, 0.4])
    np.testing.assert_allclose(random.interval(0.5), [[0.05, 0.3], [0.15, 0.5]])
    np.testing.assert_allclose(random.cpr, [0.1, 0.25, 0.4])


@pytest.fixture(scope="module")
def result(tiny: TinyModel, batch: Batch) -> jaxeap.AttributionResult:
    return jaxeap.attribute(tiny.model, batch, ablation="corrupted")


def test_curve_is_made_of_the_circuits_that_selection_gives(
    tiny: TinyModel, batch: Batch, result: jaxeap.AttributionResult
):
    sizes = [30, 0, 10, 10, result.graph.num_edges]
    for select, choose in (("top", top_edges), ("greedy", greedy_edges)):
        curve = faithfulness_curve(tiny.model, batch, result, sizes=sizes, select=select, random_draws=0)
        assert curve.random is None and curve.faithfulness.ablation == "corrupted"
        np.testing.assert_array_equal(curve.sizes, [0, 10, 30, result.graph.num_edges])
        circuits = [choose(result.scores, result.graph, int(size)) for size in curve.sizes]
        np.testing.assert_array_equal(curve.kept, [circuit.kept for circuit in circuits])
        judged = faithfulness(tiny.model, batch, circuits, "corrupted")
        np.testing.assert_allclose(curve.overall, judged.overall, rtol=1e-5, atol=1e-6)
        assert curve.overall[0] == 0 and curve.overall[-1] == 1
        assert (curve.cpr, curve.cmd) == pytest.approx(areas(curve.shares, curve.overall))
    assert curve.shares[-1] == 1


def test_default_sizes_are_mibs(tiny: TinyModel, batch: Batch, result: jaxeap.AttributionResult):
    curve = faithfulness_curve(tiny.model, batch, result, random_draws=0)
    edges = result.graph.num_edges
    assert curve.sizes.tolist() == sorted({int(share * edges) for share in MIB_SHARES})
    assert curve.shares[0] == 0 and curve.shares[-1] == 1  # so few edges that 0.1% of them is none


def test_random_circuits_are_as_large_and_come_back_with_their_seed(
    tiny: TinyModel, batch: Batch, result: jaxeap.AttributionResult
):
    sizes = [0, 10, 25, 40, result.graph.num_edges]
    curve = faithfulness_curve(tiny.model, batch, result, sizes=sizes, random_draws=3, seed=5)
    assert curve.random.kept.shape == curve.random.overall.shape == (3, len(sizes))
    np.testing.assert_array_equal(curve.random.kept[:, [0, -1]], curve.kept[[0, -1]][None].repeat(3, axis=0))
    assert (np.abs(curve.random.kept - curve.kept[None]) <= 4).all()  # a path of the tiny graph comes or goes at once
    np.testing.assert_array_equal(curve.random.overall[:, [0, -1]], [[0, 1]] * 3)
    assert len(np.unique(curve.random.overall[:, 2])) == 3
    low, high = curve.random.interval()
    assert (low <= curve.random.mean).all() and (curve.random.mean <= high).all()
    assert curve.random.cpr == pytest.approx(areas(curve.shares, curve.random.overall)[0])
    again = faithfulness_curve(tiny.model, batch, result, sizes=sizes, random_draws=3, seed=5)
    np.testing.assert_array_equal(again.random.overall, curve.random.overall)
    other = faithfulness_curve(tiny.model, batch, result, sizes=sizes, random_draws=3, seed=6)
    assert (other.random.overall[:, 2] != curve.random.overall[:, 2]).any()


def test_bare_scores_and_what_is_refused(tiny: TinyModel, batch: Batch, result: jaxeap.AttributionResult):
    arguments = {"sizes": [5, 20], "random_draws": 0}
    expected = faithfulness_curve(tiny.model, batch, result, **arguments)
    bare = np.asarray(result.scores, np.float64).mean(axis=0)
    found = faithfulness_curve(tiny.model, batch, bare, result.graph, ablation="corrupted", **arguments)
    np.testing.assert_array_equal(found.overall, expected.overall)
    zeroed = faithfulness_curve(tiny.model, batch, result, ablation="zero", **arguments)
    assert zeroed.faithfulness.ablation == "zero" and (zeroed.overall != expected.overall).any()
    with pytest.raises(ValueError, match="give graph= and ablation="):
        faithfulness_curve(tiny.model, batch, bare)
    with pytest.raises(ValueError, match="select='best' is unknown"):
        faithfulness_curve(tiny.model, batch, result, select="best")
    with pytest.raises(ValueError, match="edges were asked for"):
        faithfulness_curve(tiny.model, batch, result, sizes=[result.graph.num_edges + 1])
    unscored = dataclasses.replace(result, scores=np.full_like(result.scores, np.nan))
    with pytest.raises(ValueError, match="no finite score"):
        faithfulness_curve(tiny.model, batch, unscored)
