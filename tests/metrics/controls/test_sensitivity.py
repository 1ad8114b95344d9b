"""Every variation is the contrast under the changed choice."""

import dataclasses

import pytest

from jaxeap.metrics import contrast
from jaxeap.metrics.controls import AFFECTED, CLAIMED_METRICS, sensitivity
from jaxeap.metrics.options import MetricOptions

BOOTSTRAP = {"resamples": 40, "seed": 1, "confidence": 0.95}


def test_rows_are_those_of_a_contrast_with_that_choice(graph, scores, tuned_scores):
    options = MetricOptions(bins=20, correlation="absolute")
    found = sensitivity(scores, tuned_scores, graph.mask, options, **BOOTSTRAP)
    assert [(entry["setting"], entry["value"], entry["default"]) for entry in found] == [
        ("metrics.entries", "all", True),
        ("metrics.entries", "edges", False),
        ("metrics.bins", 10, False),
        ("metrics.bins", 20, True),
        ("metrics.bins", 40, False),
        ("metrics.bin_range", "shared", True),
        ("metrics.bin_range", "per_model", False),
        ("metrics.kurtosis", "fisher", True),
        ("metrics.kurtosis", "pearson", False),
        ("metrics.correlation", "signed", False),
        ("metrics.correlation", "absolute", True),
    ]
    for entry in found:
        choice = entry["setting"].removeprefix("metrics.")
        changed = dataclasses.replace(options, **{choice: entry["value"]})
        compared = contrast(scores, tuned_scores, graph.mask, changed, **BOOTSTRAP)
        assert [row["metric"] for row in entry["rows"]] == list(AFFECTED[choice])
        for row in entry["rows"]:
            assert row["difference"] == pytest.approx(compared[row["metric"]].difference, rel=1e-12)
            interval = (row["interval"]["low"], row["interval"]["high"])
            assert interval == pytest.approx(compared[row["metric"]].interval, rel=1e-9)


def test_what_a_choice_is_said_to_move_is_all_that_it_moves(graph, scores, tuned_scores):
    other = {"entries": "edges", "bins": 7, "bin_range": "per_model", "kurtosis": "pearson", "correlation": "absolute"}
    options = MetricOptions()
    before = contrast(scores, tuned_scores, graph.mask, options, resamples=2)
    # the top mass is no claimed metric
    assert (
        other.keys() == AFFECTED.keys() == {field.name for field in dataclasses.fields(MetricOptions)} - {"top_share"}
    )
    for choice, value in other.items():
        changed = dataclasses.replace(options, **{choice: value})
        after = contrast(scores, tuned_scores, graph.mask, changed, resamples=2)
        moved = {name for name in CLAIMED_METRICS if (after[name].base, after[name].tuned) != (before[name].base, before[name].tuned)}  # fmt: skip # noqa: E501
        assert moved == set(AFFECTED[choice])
