import json

import numpy as np
import pytest

from jaxeap.metrics.bootstrap import resample_indices
from jaxeap.metrics.contrast import contrast
from jaxeap.metrics.layer_intensity import LayerIntensity, destination_groups, layer_intensity
from jaxeap.metrics.options import MetricOptions


def test_groups_follow_the_names_and_put_logits_last():
    groups = destination_groups(("a1.h0<q>", "a1.kv0<k>", "m1", "logits", "a0.h0<q>", "m0"))
    assert {layer: list(columns) for layer, columns in groups.items()} == {"0": [4, 5], "1": [0, 1, 2], "logits": [3]}
    assert list(groups) == ["0", "1", "logits"]


def test_against_a_loop(graph, scores, tuned_scores):
    rows = layer_intensity(
        scores, tuned_scores, graph.mask, graph.destinations, resamples=80, seed=7, method="percentile"
    )
    columns = {"0": range(0, 4), "1": range(4, 8), "logits": range(8, 9)}
    draws = np.concatenate(list(resample_indices(7, 80, seed=7)))
    assert [row.layer for row in rows] == list(columns)
    for row in rows:
        edges = [(s, j) for s in range(5) for j in columns[row.layer] if graph.mask[s, j]]
        base, tuned = (
            np.array([np.mean([abs(float(matrix[edge])) for edge in edges]) for matrix in model])
            for model in (scores, tuned_scores)
        )
        assert row.edges == len(edges)
        np.testing.assert_allclose(
            [row.base, row.tuned, row.difference], [base.mean(), tuned.mean(), tuned.mean() - base.mean()], rtol=1e-6
        )
        for interval, per_question in (
            (row.base_interval, base),
            (row.tuned_interval, tuned),
            (row.difference_interval, tuned - base),
        ):
            expected = np.quantile([per_question[draw].mean() for draw in draws], [0.025, 0.975])
            np.testing.assert_allclose(interval, expected, rtol=1e-6)


def test_layers_add_up_to_the_intensity_over_edges(graph, scores, tuned_scores):
    rows = layer_intensity(scores, tuned_scores, graph.mask, graph.destinations, resamples=10)
    whole = contrast(scores, tuned_scores, graph.mask, MetricOptions(entries="edges"), resamples=10)["intensity"]
    edges = graph.mask.sum()
    np.testing.assert_allclose(sum(row.edges * row.base for row in rows) / edges, whole.base, rtol=1e-12)
    np.testing.assert_allclose(sum(row.edges * row.difference for row in rows) / edges, whole.difference, rtol=1e-12)


def test_equal_models_differ_by_exactly_nothing(graph, scores):
    for row in layer_intensity(scores, scores.copy(), graph.mask, graph.destinations, resamples=50):
        assert row.difference == 0 and row.difference_interval == (0, 0)


def test_one_question_gives_no_interval(graph, scores, tuned_scores):
    for row in layer_intensity(scores[:1], tuned_scores[:1], graph.mask, graph.destinations, resamples=5):
        assert row.base_interval is row.tuned_interval is row.difference_interval is None


def test_json_round_trip(graph, scores, tuned_scores):
    for row in layer_intensity(scores, tuned_scores, graph.mask, graph.destinations, resamples=5):
        assert LayerIntensity.from_json(json.loads(json.dumps(row.to_json(), allow_nan=False))) == row


def test_names_that_do_not_fit_are_refused(graph, scores):
    with pytest.raises(ValueError, match="8 destination names for a mask with 9"):
        layer_intensity(scores, scores, graph.mask, graph.destinations[:-1])
    with pytest.raises(ValueError, match="'head0' is not a node name"):
        layer_intensity(scores, scores, graph.mask, ("head0", *graph.destinations[1:]))
    mask = graph.mask.copy()
    mask[:, :4] = False
    with pytest.raises(ValueError, match="no edge into 0"):
        layer_intensity(scores * mask, scores * mask, mask, graph.destinations)
