"""Rows against the contrast, which computes the same another way."""

import numpy as np
import pytest

from jaxeap.metrics import contrast, measures
from jaxeap.metrics.complexity import histogram_uppers
from jaxeap.metrics.controls import difference_row, metric_row
from jaxeap.metrics.controls.paired import paired_statistics
from jaxeap.metrics.options import MetricOptions

BOOTSTRAP = {"resamples": 80, "seed": 4, "confidence": 0.9}


def test_rows_are_those_of_the_contrast(graph, scores, tuned_scores):
    compared = contrast(scores, tuned_scores, graph.mask, **BOOTSTRAP)
    (upper, _) = histogram_uppers([scores, tuned_scores], "shared")
    for measure in measures(MetricOptions(), upper):
        statistics = (measure.per_example(each, graph.mask) for each in (scores, tuned_scores))
        row, expected = difference_row(measure, *statistics, **BOOTSTRAP), metric_row(compared[measure.name], 0.9)
        assert row.keys() == expected.keys()
        for key in ("base", "tuned", "difference", "relative_change"):
            assert row[key] == pytest.approx(expected[key], rel=1e-12)
        low, high = compared[measure.name].interval
        assert (row["interval"]["low"], row["interval"]["high"]) == pytest.approx((low, high), rel=1e-9)
        assert (row["examples"], row["interval"]["confidence"]) == (7, 0.9)


def test_a_question_without_a_value_anywhere_counts_nowhere():
    one, other = np.array([1.0, np.nan, 3.0, 4.0]), np.array([[1.0, 2], [3, 4], [np.nan, np.nan], [5, 6]])
    (first, second), defined = paired_statistics(one, other)
    np.testing.assert_array_equal(defined, [1, 0, 0, 1])
    assert np.isfinite(first).all() and np.isfinite(second).all()


def test_too_few_questions_have_no_interval_and_none_no_value(graph, scores, tuned_scores):
    (measure, *_) = measures(MetricOptions(), 100.0)
    one = difference_row(measure, np.array([1.0]), np.array([3.0]), **BOOTSTRAP)
    assert (one["difference"], one["interval"], one["examples"]) == (2.0, None, 1)
    none = difference_row(measure, np.array([np.nan, 1.0]), np.array([1.0, np.nan]), **BOOTSTRAP)
    assert (none["base"], none["difference"], none["interval"], none["examples"]) == (None, None, None, 0)
