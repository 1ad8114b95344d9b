"""Metamorphic properties of all metrics, and `evaluate`."""

import numpy as np
import pytest

from jaxeap.metrics.measures import evaluate, measures
from jaxeap.metrics.options import MetricOptions

NAMES = tuple(measure.name for measure in measures(MetricOptions(), 1.0))
OTHERS = MetricOptions(entries="edges", bins=17, kurtosis="pearson", correlation="absolute", top_share=0.2)
OPTIONS = (MetricOptions(), OTHERS)
FOLLOW_ENTRIES = {"intensity", "complexity", "kurtosis", "diversity"}


@pytest.fixture(params=OPTIONS, ids=["defaults", "others"])
def options(request):
    return request.param


def assert_same(actual, expected):
    assert actual.keys() == expected.keys() == set(NAMES)
    for name in NAMES:
        np.testing.assert_allclose(actual[name], expected[name], rtol=1e-12, err_msg=name)


def test_the_order_of_examples_does_not_matter(graph, scores, options):
    shuffled = scores[[3, 1, 6, 0, 5, 2, 4]]
    assert_same(evaluate(shuffled, graph.mask, options), evaluate(scores, graph.mask, options))


def test_the_order_of_nodes_does_not_matter(graph, scores, options):
    rows, columns = [4, 2, 0, 1, 3], [8, 0, 5, 4, 2, 7, 1, 3, 6]
    permuted = scores[:, rows][:, :, columns]
    mask = graph.mask[rows][:, columns]
    assert_same(evaluate(permuted, mask, options), evaluate(scores, graph.mask, options))


def test_moving_scores_between_edges_changes_node_entropy_alone(graph, scores, options):
    moved = scores.copy()
    order = np.random.default_rng(1).permutation(graph.mask.sum())
    moved[:, graph.mask] = scores[:, graph.mask][:, order]
    before, after = evaluate(scores, graph.mask, options), evaluate(moved, graph.mask, options)
    assert abs(before["node_entropy"] - after["node_entropy"]) > 0.01
    assert_same(after | {"node_entropy": 0.0}, before | {"node_entropy": 0.0})


@pytest.mark.parametrize("factor", [8.0, 2.0**-60])
def test_scale_scales_intensity_alone(graph, scores, options, factor):
    before = evaluate(scores, graph.mask, options)
    after = evaluate(scores * np.float32(factor), graph.mask, options)
    assert_same(after, before | {"intensity": before["intensity"] * factor})


def test_sign_does_not_matter(graph, scores, options):
    assert_same(evaluate(-scores, graph.mask, options), evaluate(scores, graph.mask, options))


def test_structural_zeros_count_for_all_entries_and_not_for_edges(graph, scores):
    wider = np.concatenate([scores, np.zeros((7, 5, 9), np.float32)], axis=2)
    mask = np.concatenate([graph.mask, np.zeros((5, 9), bool)], axis=1)
    edges = MetricOptions(entries="edges")
    assert_same(evaluate(wider, mask, edges), evaluate(scores, graph.mask, edges))
    before, after = evaluate(scores, graph.mask), evaluate(wider, mask)
    np.testing.assert_allclose(after["intensity"], before["intensity"] / 2, rtol=1e-12)
    for name in NAMES:
        if name in FOLLOW_ENTRIES:
            assert abs(after[name] - before[name]) > 1e-3, name
        else:
            np.testing.assert_allclose(after[name], before[name], rtol=1e-12, err_msg=name)


def test_every_option_changes_its_metric_and_no_other(graph, scores):
    before = evaluate(scores, graph.mask)
    changes = {
        "entries": ("edges", FOLLOW_ENTRIES),
        "bins": (20, {"complexity"}),
        "kurtosis": ("pearson", {"kurtosis"}),
        "correlation": ("absolute", {"diversity"}),
        "top_share": (0.1, {"top_mass"}),
    }
    for option, (value, moved) in changes.items():
        after = evaluate(scores, graph.mask, MetricOptions(**{option: value}))
        assert {name for name in NAMES if after[name] != before[name]} == moved, option


def test_asking_every_question_twice_changes_diversity_alone(graph, scores, options):
    before = evaluate(scores, graph.mask, options)
    after = evaluate(np.concatenate([scores, scores]), graph.mask, options)
    # 7 of the 14 * 13 / 2 pairs are now copies with correlation 1; the other 84 are the old 21 pairs four times over
    assert_same(after, before | {"diversity": before["diversity"] * 84 / 91})


def test_undefined_metrics_are_none(graph, scores):
    values = evaluate(scores[:1], graph.mask)
    assert values["diversity"] is None
    assert all(values[name] is not None for name in NAMES if name != "diversity")
    values = evaluate(np.zeros_like(scores), graph.mask)
    assert values["intensity"] == 0 and values["complexity"] == 0
    assert all(values[name] is None for name in NAMES if name not in ("intensity", "complexity"))


def test_an_undefined_example_is_left_out(graph, scores):
    silent = scores.copy()
    silent[2] = 0
    without = evaluate(np.delete(scores, 2, axis=0), graph.mask)
    values = evaluate(silent, graph.mask)
    for name in set(NAMES) - {"intensity", "complexity"}:
        np.testing.assert_allclose(values[name], without[name], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(values["intensity"], without["intensity"] * 6 / 7, rtol=1e-12)


def test_bad_scores_are_refused(graph, scores):
    scores[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="nan at example 0"):
        evaluate(scores, graph.mask)
