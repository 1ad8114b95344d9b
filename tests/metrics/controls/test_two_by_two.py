"""The decomposition: worked by hand, looped over resamples, and where only one of model and text differs."""

import numpy as np
import pytest

from jaxeap.metrics import measures
from jaxeap.metrics.bootstrap import resample_indices
from jaxeap.metrics.controls import CELLS, cell_statistics, decompose, difference_row
from jaxeap.metrics.controls.two_by_two import PARTS, Decomposition
from jaxeap.metrics.measures import Measure
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.stream import ScoreStream

BOOTSTRAP = {"resamples": 60, "seed": 2, "confidence": 0.95}
MEAN = Measure("mean", "Mean", lambda scores, mask: scores)


def cells(graph, *four: np.ndarray) -> tuple[tuple[Measure, ...], list[dict[str, np.ndarray]]]:
    """All metrics, and for each its statistics in the four cells."""
    upper = max(float(np.abs(four[place]).max()) for place in (0, 3))
    metrics = measures(MetricOptions(), upper)
    statistics = [cell_statistics(each, graph.mask, metrics, upper) for each in four]
    return metrics, [dict(zip(CELLS, column, strict=True)) for column in zip(*statistics, strict=True)]


def ends(found: Decomposition, part: str) -> tuple[float, float]:
    interval = found.intervals[part]
    assert interval is not None
    return interval["low"], interval["high"]


def test_worked_by_hand():
    """Base scores 1 on its own text and 2 on the other's, tuned 4 and 8: raw 7, model ((8-2) + (4-1)) / 2 = 4.5."""
    values = dict(zip(CELLS, (1.0, 2.0, 4.0, 8.0), strict=True))
    found = decompose(MEAN, {cell: np.full(5, value) for cell, value in values.items()}, **BOOTSTRAP)
    assert found.cells == values
    assert found.values == {"raw": 7.0, "model": 4.5, "text": 2.5, "interaction": 3.0}
    for part, value in found.values.items():
        assert found.intervals[part] == {"low": value, "high": value, "confidence": 0.95, "method": "percentile"}


def test_parts_and_intervals_against_a_loop(graph, scores, tuned_scores):
    four = (scores, 0.8 * scores, 1.1 * tuned_scores, tuned_scores)
    metrics, statistics = cells(graph, *four)
    for measure, of_cells in zip(metrics, statistics, strict=True):
        found = decompose(measure, of_cells, **BOOTSTRAP, method="percentile")
        drawn = {part: [] for part in PARTS}
        for indices in [np.arange(7), *np.concatenate(list(resample_indices(7, 60, seed=2)))]:
            weights = np.bincount(indices, minlength=7)[None].astype(float)
            bb, bt, tb, tt = (measure.combine(of_cells[cell], weights)[0] for cell in CELLS)
            drawn["raw"].append(tt - bb)
            drawn["model"].append(((tt - bt) + (tb - bb)) / 2)
            drawn["text"].append(((tt - tb) + (bt - bb)) / 2)
            drawn["interaction"].append(tt - bt - tb + bb)
        for part in PARTS:
            value, *resampled = drawn[part]
            assert found.values[part] == pytest.approx(value, rel=1e-9, abs=1e-12), (measure.name, part)
            expected = np.quantile(resampled, [0.025, 0.975])
            assert found.intervals[part]["method"] == "percentile"
            np.testing.assert_allclose(ends(found, part), expected, rtol=1e-8, atol=1e-11)
        assert found.values["model"] + found.values["text"] == pytest.approx(found.values["raw"], rel=1e-15, abs=1e-15)


def test_interval_of_the_raw_difference_is_the_contrasts_bca(graph, scores, tuned_scores):
    metrics, statistics = cells(graph, scores, 0.8 * scores, 1.1 * tuned_scores, tuned_scores)
    for measure, of_cells in zip(metrics, statistics, strict=True):
        found = decompose(measure, of_cells, **BOOTSTRAP)
        row = difference_row(measure, of_cells["base_on_base"], of_cells["tuned_on_tuned"], **BOOTSTRAP)
        assert ends(found, "raw") == pytest.approx((row["interval"]["low"], row["interval"]["high"]), rel=1e-9)
        assert {found.intervals[part]["method"] for part in PARTS} == {row["interval"]["method"]}
    assert row["interval"]["method"] == "bca"  # of the last metric, which is a mean


def test_scores_shard_by_shard_are_those_in_memory(graph, scores):
    upper = 0.5 * float(np.abs(scores).max())
    metrics = measures(MetricOptions(), upper)
    order = np.random.default_rng(0).permutation(7)

    def shards():
        return ((part, scores[part]) for part in (order[:3], order[3:4], order[4:]))

    two_examples = 8 * 2 * graph.mask.size
    streamed = cell_statistics(ScoreStream(7, shards), graph.mask, metrics, upper, memory_bytes=two_examples)
    for measure, one, whole in zip(metrics, streamed, cell_statistics(scores, graph.mask, metrics, upper), strict=True):
        np.testing.assert_allclose(one, whole, rtol=1e-12, atol=1e-12, err_msg=measure.name)


def test_the_same_model_on_two_texts_has_no_part_of_its_own(graph, scores, tuned_scores):
    metrics, statistics = cells(graph, scores, tuned_scores, scores, tuned_scores)
    for measure, of_cells in zip(metrics, statistics, strict=True):
        found = decompose(measure, of_cells, **BOOTSTRAP)
        assert found.values["model"] == found.values["interaction"] == 0
        assert ends(found, "model") == (0, 0)
        assert found.values["text"] == found.values["raw"] != 0


def test_the_same_text_has_no_part(graph, scores, tuned_scores):
    metrics, statistics = cells(graph, scores, scores, tuned_scores, tuned_scores)
    for measure, of_cells in zip(metrics, statistics, strict=True):
        found = decompose(measure, of_cells, **BOOTSTRAP)
        assert found.values["text"] == found.values["interaction"] == 0
        assert found.values["model"] == found.values["raw"] != 0


def test_scores_beyond_the_headlines_range_fall_into_the_last_bin(graph, scores, tuned_scores):
    upper = float(np.abs(scores).max())
    metrics = measures(MetricOptions(), upper)
    (counts,) = (
        statistics
        for measure, statistics in zip(metrics, cell_statistics(9 * scores, graph.mask, metrics, upper), strict=True)
        if measure.name == "complexity"
    )
    beyond = (np.abs(9 * scores) >= upper * 0.99).reshape(7, -1).sum(axis=1)
    np.testing.assert_array_equal(counts[:, -1], beyond)
    np.testing.assert_array_equal(counts.sum(axis=1), graph.mask.size)


def test_undefined_in_one_cell_is_undefined():
    statistics = dict.fromkeys(CELLS, np.array([1.0, 2.0])) | {"base_on_tuned": np.array([np.nan, np.nan])}
    content = decompose(MEAN, statistics, **BOOTSTRAP).to_json()
    assert content["raw"] == {"value": None, "interval": None}
    assert content["examples"] == 0 and content["cells"] == dict.fromkeys(CELLS)
