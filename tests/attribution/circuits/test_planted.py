"""The planted circuit is found, whole and alone, and does all that the model does."""

import numpy as np
import pytest

import jaxeap
from jaxeap.attribution.batch import Batch
from jaxeap.attribution.circuits import Circuit, faithfulness, greedy_edges, top_edges
from jaxeap.attribution.graph import Level
from jaxeap.attribution.interventions import Ablation
from jaxeap.models.model import Decoder
from tests.attribution.circuits.planted import EDGES, TOKENS, planted_batch, planted_model


@pytest.fixture(scope="module")
def model() -> Decoder:
    return planted_model()


@pytest.fixture(scope="module")
def planted(model: Decoder) -> Batch:
    return planted_batch()


def test_the_model_does_the_task(model: Decoder, planted: Batch):
    loss = jaxeap.attribute(model, planted).loss
    assert (np.asarray(loss) < np.log(TOKENS) - 1).all()


@pytest.mark.parametrize("ablation", ["zero", "corrupted"])
def test_planted_edges_stand_on_top_and_suffice(model: Decoder, planted: Batch, level: Level, ablation: Ablation):
    result = jaxeap.attribute(model, planted, level=level, ablation=ablation)
    count = len(EDGES[level])
    for select in (top_edges, greedy_edges):
        for by in ("absolute_mean", "mean_absolute", "mean"):
            assert set(select(result.scores, result.graph, count, by).edge_names) == EDGES[level]
    for scores in np.asarray(result.scores):  # in every example alone, and by far
        found = top_edges(scores, result.graph, count)
        assert set(found.edge_names) == EDGES[level]
        assert np.abs(scores[found.edges]).min() > 10 * np.abs(scores[~found.edges]).max()

    circuit = top_edges(result.scores, result.graph, count)
    without = [result.graph.mask.copy() for _ in range(count)]
    for edges, missing in zip(without, np.argwhere(circuit.edges), strict=True):
        edges[tuple(missing)] = False
    everything_else = Circuit.of(result.graph.mask & ~circuit.edges, result.graph)
    broken = [Circuit.of(edges, result.graph) for edges in without]
    found = faithfulness(model, planted, [circuit, everything_else, *broken], ablation)
    assert found.overall[0] == pytest.approx(1, abs=0.01)
    # One planted edge gone, and nothing is left of what the model does.
    np.testing.assert_allclose(found.overall[1:], 0, atol=0.01)
    np.testing.assert_allclose(found.per_example[0], 1, atol=0.02)
