"""Halves against what theory says of them, and against an observed difference."""

import numpy as np
import pytest

from jaxeap.metrics import measures
from jaxeap.metrics.controls import null_split
from jaxeap.metrics.measures import Measure
from jaxeap.metrics.options import MetricOptions

MEAN = Measure("mean", "Mean", lambda scores, mask: scores)
SPLITS = {"splits": 4000, "seed": 1, "origin": "base"}


def test_scatters_as_two_models_on_so_many_questions_of_their_own():
    """Means of N independent questions each differ with variance 2 s^2 / N."""
    values = np.random.default_rng(0).normal(size=400)
    found = null_split(MEAN, values, 0.0, **SPLITS)
    expected = 1.96 * values.std(ddof=1) * np.sqrt(2 / 400)
    assert found.high == pytest.approx(expected, rel=0.06)
    assert found.low == pytest.approx(-expected, rel=0.06)
    assert found.share_beyond == 1.0


def test_share_beyond_counts_both_sides():
    values = np.random.default_rng(0).normal(size=400)
    at_the_edge = null_split(MEAN, values, null_split(MEAN, values, 0.0, **SPLITS).high, **SPLITS)
    assert at_the_edge.share_beyond == pytest.approx(0.05, abs=0.01)
    assert null_split(MEAN, values, -5.0, **SPLITS).share_beyond == pytest.approx(1 / 4001)


def test_halves_of_equal_questions_do_not_differ():
    found = null_split(MEAN, np.ones(9), 0.5, **SPLITS)
    assert (found.low, found.high) == (0, 0) and found.share_beyond == pytest.approx(1 / 4001)


def test_halves_are_halves_and_never_the_same_question():
    seen = []

    def combine(statistics, weights):
        seen.append(weights)
        return weights @ statistics

    statistics = np.arange(11.0)
    statistics[3] = np.nan
    null_split(Measure("m", "M", lambda s, m: s, combine), statistics, None, splits=700, seed=0, origin="tuned")
    for one, other in zip(seen[::2], seen[1::2], strict=True):
        assert set(np.unique(one)) == {0.0, 1.0}
        np.testing.assert_array_equal(one.sum(axis=1), 5)
        np.testing.assert_array_equal(other.sum(axis=1), 5)
        assert not (one * other).any() and not one[:, 3].any() and not other[:, 3].any()
    # The scale apart, every question is as likely in either half.
    assert np.concatenate(seen[::2]).mean(axis=0)[[0, 1, 10]] == pytest.approx(0.5, abs=0.08)


def test_every_metric_has_one_and_it_is_repeatable(graph, scores, tuned_scores):
    many = np.concatenate([scores, tuned_scores])
    for measure in measures(MetricOptions(), float(np.abs(many).max())):
        statistics = measure.per_example(many, graph.mask)
        once, again = (null_split(measure, statistics, 0.1, splits=50, seed=3, origin="base") for _ in range(2))
        assert once == again and once.low < once.high
        assert once.to_json().keys() == {
            "metric", "low", "high", "observed", "share_beyond", "splits", "from",
        }  # fmt: skip


def test_too_few_questions_have_none():
    found = null_split(MEAN, np.arange(7.0), 0.1, **SPLITS)
    assert (found.low, found.high, found.share_beyond, found.observed) == (None, None, None, 0.1)
