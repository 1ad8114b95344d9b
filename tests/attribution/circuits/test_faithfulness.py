"""Faithfulness: its two fixed points, how it averages, and when it has no meaning."""

import dataclasses

import jax
import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits import Circuit, Faithfulness, faithfulness
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.attribution.interventions import Ablation
from tests.attribution.circuits.conftest import random_circuits
from tests.attribution.tiny import TinyModel


def circuits_of(graph: EdgeGraph) -> list[Circuit]:
    return [Circuit.of(edges, graph) for edges in random_circuits(graph)]


@pytest.mark.parametrize("ablation", ["zero", "corrupted", "mean", "resample"])
def test_all_edges_are_exactly_one_and_none_exactly_zero(
    tiny: TinyModel, batch: Batch, graph: EdgeGraph, level: Level, ablation: Ablation
):
    reference = jaxeap.mean_sources(tiny.model, batch) if ablation == "mean" else None
    circuits = circuits_of(graph)
    found = faithfulness(tiny.model, batch, circuits, ablation, reference)
    assert found.overall[0] == 1 and found.overall[1] == 0
    np.testing.assert_array_equal(found.per_example[:2], [[1] * batch.size, [0] * batch.size])
    assert ((found.overall[2:] != 0) & (found.overall[2:] != 1)).all()
    assert found.overall.dtype == found.per_example.dtype == np.float64
    np.testing.assert_allclose(found.full, jaxeap.attribute(tiny.model, batch).loss, rtol=1e-5)


def test_divergence_is_zero_for_the_model_itself(tiny: TinyModel, batch: Batch, graph: EdgeGraph):
    found = faithfulness(tiny.model, batch, circuits_of(graph), "corrupted", metric="divergence")
    np.testing.assert_allclose(found.full, 0, atol=1e-6)
    assert (found.empty > 0.1).all() and (found.values[2:] > 0).all()
    assert found.overall[0] == 1 and found.overall[1] == 0
    assert found.overall[2:] == pytest.approx(1 - found.values[2:].mean(axis=1) / found.empty.mean(), abs=1e-6)


def test_means_are_taken_before_the_ratio(graph: EdgeGraph):
    values = np.array([[1.0, 3.0, 5.0]], np.float32)
    found = Faithfulness(
        (Circuit.full(graph),),
        values,
        full=np.array([0.0, 1.0, 5.0], np.float32),
        empty=np.array([4.0, 5.0, 5.0], np.float32),
        metric="loss",
        ablation="zero",
    )
    assert found.overall == pytest.approx([(9 - 14) / (6 - 14)])
    np.testing.assert_array_equal(found.per_example, [[3 / 4, 1 / 2, np.nan]])


def test_several_batches_are_one(tiny: TinyModel, batch: Batch):
    graph = EdgeGraph.for_config(tiny.model.config, "block")
    circuits = circuits_of(graph)
    whole = faithfulness(tiny.model, batch, circuits, "corrupted")
    halves = [jax.tree.map(lambda array, part=part: array[part], batch) for part in (slice(0, 2), slice(2, 4))]
    parts = faithfulness(tiny.model, iter(halves), circuits, "corrupted")
    np.testing.assert_allclose(parts.values, whole.values, rtol=1e-5)
    np.testing.assert_allclose(parts.overall, whole.overall, rtol=1e-5, atol=1e-6)
    assert parts.overall[0] == 1 and parts.overall[1] == 0


def test_one_circuit_may_come_alone_and_from_another_model(tiny: TinyModel, tiny_plain: TinyModel, batch: Batch):
    found_on_other = circuits_of(EdgeGraph.for_config(tiny_plain.model.config, "block"))
    alone = faithfulness(tiny.model, batch, found_on_other[3], "corrupted")
    among = faithfulness(tiny.model, batch, found_on_other, "corrupted")
    assert alone.values.shape == (1, batch.size)
    np.testing.assert_allclose(alone.overall[0], among.overall[3], rtol=1e-5)


def test_an_ablation_that_changes_nothing_is_an_error(tiny: TinyModel, batch: Batch):
    graph = EdgeGraph.for_config(tiny.model.config, "block")
    same = dataclasses.replace(batch, corrupted=batch.tokens)
    found = faithfulness(tiny.model, same, circuits_of(graph), "corrupted")
    with pytest.raises(ValueError, match="'corrupted' changes nothing on these examples"):
        _ = found.overall
    assert np.isnan(found.per_example).all()


def test_refused(tiny: TinyModel, batch: Batch, graph: EdgeGraph):
    circuit = Circuit.full(graph)
    with pytest.raises(ValueError, match="at least one batch and one circuit"):
        faithfulness(tiny.model, [], circuit)
    with pytest.raises(ValueError, match="at least one batch and one circuit"):
        faithfulness(tiny.model, batch, [])
    with pytest.raises(ValueError, match="metric 'accuracy' is unknown; use one of loss, divergence"):
        faithfulness(tiny.model, batch, circuit, metric="accuracy")
    with pytest.raises(ValueError, match="needs reference"):
        faithfulness(tiny.model, batch, circuit, "mean")
    other = EdgeGraph.for_config(tiny.model.config, "head" if graph.level == "block" else "block")
    with pytest.raises(ValueError, match="not all of one level"):
        faithfulness(tiny.model, batch, [circuit, Circuit.full(other)])
    deeper = dataclasses.replace(tiny.model.config, num_layers=4, windows=(None,) * 4)
    with pytest.raises(ValueError, match="this one's layers and heads"):
        faithfulness(tiny.model, batch, Circuit.full(EdgeGraph.for_config(deeper, graph.level)))
