import numpy as np
import pytest
from scipy import stats

from jaxeap.metrics.breakdown import break_down_entries, break_down_examples
from jaxeap.metrics.contrast import contrast, headline_pairs
from jaxeap.metrics.entry_groups import entry_groups
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.layer_intensity import layer_intensity
from jaxeap.metrics.options import MetricOptions

INFERENCE = InferenceOptions(resamples=60, permutations=128)


@pytest.fixture
def broken_down(graph, scores, tuned_scores):
    groups = entry_groups(graph.mask, graph.sources, graph.destinations)
    return break_down_entries(scores, tuned_scores, graph.mask, groups, MetricOptions(), INFERENCE)


def test_layers_are_those_of_the_layer_intensity(graph, scores, tuned_scores, broken_down):
    expected = layer_intensity(scores, tuned_scores, graph.mask, graph.destinations, resamples=60)
    rows = [row for row in broken_down["layer"] if row.row.name == "intensity"]
    assert [row.member for row in rows] == [row.layer for row in expected]
    for found, layer in zip(rows, expected, strict=True):
        np.testing.assert_allclose([found.row.base, found.row.tuned], [layer.base, layer.tuned], rtol=1e-7)
        np.testing.assert_allclose(found.row.interval, layer.difference_interval, rtol=1e-6)


def test_a_member_is_measured_as_a_graph_of_its_own(graph, scores, tuned_scores, broken_down):
    """Source kinds: whole rows of the matrix, so they can be cut out by hand."""
    for member, rows in (("embed", [0]), ("attention", [1, 3]), ("mlp", [2, 4])):
        parts = (scores[:, rows], tuned_scores[:, rows])
        alone = contrast(*parts, graph.mask[rows], MetricOptions(entries="edges"), resamples=60, permutations=128)
        found = {row.row.name: row.row for row in broken_down["source_kind"] if row.member == member}
        assert list(found) == [metric.name for metric in alone.metrics]
        for metric in alone.metrics:
            assert found[metric.name].p_value == metric.p_value
            for field in ("base", "tuned", "effect_size", "interval"):
                one, other = getattr(found[metric.name], field), getattr(metric, field)
                if one is not None:
                    np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12, err_msg=f"{member} {metric.name}")
                else:
                    assert other is None


def test_q_values_are_taken_over_the_members_of_one_metric(broken_down):
    for kind, rows in broken_down.items():
        for name in {row.row.name for row in rows}:
            own = [row for row in rows if row.row.name == name and row.row.p_value is not None]
            expected = stats.false_discovery_control([row.row.p_value for row in own])
            np.testing.assert_allclose([row.q_value for row in own], expected, err_msg=f"{kind} {name}")


def test_any_mask_is_a_member(graph, scores, tuned_scores):
    chosen = graph.mask & (np.random.default_rng(0).random(graph.mask.shape) < 0.5)
    groups = {"mine": {"half": chosen, "rest": graph.mask & ~chosen}}
    rows = break_down_entries(scores, tuned_scores, graph.mask, groups, MetricOptions(), INFERENCE)["mine"]
    values = {row.member: row.row.base for row in rows if row.row.name == "intensity"}
    np.testing.assert_allclose(values["half"], np.abs(scores[:, chosen].astype(float)).mean(), rtol=1e-12)
    np.testing.assert_allclose(values["rest"], np.abs(scores[:, graph.mask & ~chosen].astype(float)).mean(), rtol=1e-12)


def test_examples_are_measured_as_if_alone(graph, scores, tuned_scores):
    scores[5] = 0  # has no value in most metrics
    pairs = headline_pairs(scores, tuned_scores, graph.mask, MetricOptions(bin_range="per_model"))
    groups = {"easy": np.array([0, 2, 5, 6]), "hard": np.array([1, 3, 4])}
    rows = break_down_examples(pairs, groups, INFERENCE)
    for member, places in groups.items():
        alone = contrast(scores[places], tuned_scores[places], graph.mask, resamples=60, permutations=128)
        found = {row.row.name: row.row for row in rows if row.member == member}
        for metric in alone.metrics:
            if metric.name == "complexity":  # whose range is that of all questions
                continue
            assert found[metric.name].examples == metric.examples
            assert found[metric.name].p_value == metric.p_value
            np.testing.assert_allclose(found[metric.name].difference, metric.difference, rtol=1e-9)
            np.testing.assert_allclose(found[metric.name].interval, metric.interval, rtol=1e-7, atol=1e-12)


def test_equal_models_differ_in_no_part(graph, scores):
    groups = entry_groups(graph.mask, graph.sources, graph.destinations)
    found = break_down_entries(scores, scores.copy(), graph.mask, groups, MetricOptions(), INFERENCE)
    for rows in found.values():
        for row in rows:
            if row.row.difference is not None:
                assert row.row.difference == 0 and row.row.interval in (None, (0, 0))
                assert row.row.p_value in (None, 1) and row.q_value in (None, 1)


def test_rows_are_plain_json(broken_down):
    content = broken_down["layer"][0].to_json(0.95)
    assert content["member"] == "0" and content["metric"] == "intensity"
    assert set(content["interval"]) == {"low", "high", "confidence", "method"}
    assert {
        "title",
        "base",
        "tuned",
        "difference",
        "relative_change",
        "p_value",
        "effect_size",
        "examples",
        "q_value",
    } < set(content)
