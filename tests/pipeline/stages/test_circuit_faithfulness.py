import numpy as np
import pytest

from jaxeap.attribution.circuits import Circuit
from jaxeap.attribution.circuits.faithfulness import Faithfulness
from jaxeap.attribution.graph import EdgeGraph
from jaxeap.pipeline.execution.batches import Places
from jaxeap.pipeline.stages.circuit_faithfulness import Measured, _columns, _summary
from tests.pipeline.conftest import tiny_model_config


def found(values, full, empty):
    circuit = Circuit.full(EdgeGraph.for_config(tiny_model_config()))
    arrays = (np.array(array, np.float32) for array in (values, full, empty))
    return Faithfulness((circuit,) * len(values), *arrays, "loss", "zero")


def test_the_smallest_circuit_is_that_from_which_on_all_are_faithful():
    values = (0.1, 0.9, 0.4, 0.7, 0.6, 1.0)
    measured = Measured(values, (None,) * 6, 0.0, 1.0)
    places = list(range(6))
    assert [measured.first_to_stay(places, target) for target in (0.05, 0.5, 0.7, 0.95, 1.01)] == [0, 3, 5, 5, None]
    assert measured.first_to_stay([1, 3], 0.5) == 1
    assert Measured((None, None), (None, None), 1.0, 1.0).first_to_stay([0, 1], 0.5) is None


def test_ratio_of_means_with_its_interval_over_questions():
    full, empty = np.array([1.0, 2.0, 0.0, 1.0]), np.array([5.0, 4.0, 6.0, 9.0])
    values = np.array([[2.0, 2.0, 3.0, 8.0], full, empty])
    measured = _summary(found(values, full, empty), 5000, 0, 0.9)
    np.testing.assert_allclose(measured.faithfulness, [(3.75 - 6) / (1 - 6), 1.0, 0.0], rtol=1e-6)
    assert (measured.whole, measured.none) == (1.0, 6.0)
    assert measured.intervals[1:] == ((1.0, 1.0), (0.0, 0.0))
    assert measured.at(1) == {"faithfulness": pytest.approx(1.0), "interval": [1.0, 1.0]}


def test_the_interval_resamples_questions():
    rng = np.random.default_rng(
        1
    )  # Sixty questions: of four, the resampled ratio takes few values, and quantiles jump.
    full, empty = rng.uniform(0, 1, 60), rng.uniform(3, 6, 60)
    values = rng.uniform(0, 6, (1, 60))
    low, high = _summary(found(values, full, empty), 10_000, 0, 0.9).intervals[0]
    draws = np.random.default_rng(9).integers(60, size=(50_000, 60))
    ratios = (values[0] - empty)[draws].sum(axis=1) / (full - empty)[draws].sum(axis=1)
    np.testing.assert_allclose([low, high], np.quantile(ratios, [0.05, 0.95]), atol=0.01)
    assert high - low > 0.1


def test_where_ablation_moves_nothing_there_is_no_faithfulness():
    measured = _summary(found([[1.0, 2.0]], [1.0, 2.0], [1.0, 2.0]), 10, 0, 0.9)
    assert (measured.faithfulness, measured.intervals) == ((None,), (None,))
    assert measured.at(0) == {"faithfulness": None, "interval": None}


def test_columns_of_batches_leave_out_what_fills_them():
    assert _columns([Places([2, 0], [2, 0]), Places([1], [1, 1])]) == [1, 2, 0]
