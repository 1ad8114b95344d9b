import importlib

import numpy as np
import pytest

from jaxeap.metrics.node_entropy import node_output_entropy
from jaxeap.metrics.options import MetricOptions
from jaxeap.report.diversity_plot import diversity_plot, every
from tests.report.conftest import shards_of


def panels(finished, **options):
    figure = diversity_plot(finished.base_scores, finished.tuned_scores, finished.mask, finished.sources, **options)
    figure.draw_without_rendering()
    return figure.axes


@pytest.mark.parametrize("options", [MetricOptions(), MetricOptions(entries="edges", correlation="absolute")])
def test_left_the_means_are_the_tables_diversity(finished, options):
    left, _ = panels(finished, options=options)
    expected = []
    for scores in (finished.base_scores, finished.tuned_scores):
        values = scores[:, finished.mask] if options.entries == "edges" else scores.reshape(len(scores), -1)
        values = np.abs(values) if options.correlation == "absolute" else values
        correlations = np.corrcoef(values.astype(np.float64))
        expected.append(1 - np.mean([correlations[i, j] for i in range(12) for j in range(i)]))
    lines = [line.get_xdata()[0] for line in left.lines]
    np.testing.assert_allclose(lines, expected, rtol=1e-9)
    shares = [patch.get_data().values.sum() for patch in left.patches if not patch.get_fill()]
    np.testing.assert_allclose(shares, [1, 1])


def test_right_the_line_is_the_mean_entropy_of_each_source(finished):
    _, right = panels(finished)
    for line, scores in zip(right.lines, (finished.base_scores, finished.tuned_scores), strict=True):
        expected = node_output_entropy(scores, finished.mask).mean(axis=0)
        np.testing.assert_allclose(line.get_ydata(), expected, rtol=1e-12)
    assert [label.get_text() for label in right.get_xticklabels()] == list(finished.sources)


def test_a_single_question_and_silent_ones_are_drawn(finished):
    for scores in (finished.base_scores[:1], 0 * finished.base_scores[:3]):
        figure = diversity_plot(scores, scores, finished.mask, finished.sources)
        figure.draw_without_rendering()
        assert "too few questions" in [text.get_text() for text in figure.axes[0].texts]


def test_scores_in_shards_give_the_same_lines_and_of_many_questions_some_are_drawn(finished, monkeypatch):
    whole = panels(finished)
    streams = shards_of(finished.base_scores), shards_of(finished.tuned_scores)
    for most, drawn in ((12, 12), (5, 4)):
        monkeypatch.setattr(importlib.import_module("jaxeap.report.diversity_plot"), "MOST_QUESTIONS", most)
        figure = diversity_plot(*streams, finished.mask, finished.sources)
        left, right = figure.axes
        for line, expected in zip([*left.lines, *right.lines], [*whole[0].lines, *whole[1].lines], strict=True):
            np.testing.assert_allclose(line.get_xydata(), expected.get_xydata(), rtol=1e-9)
        assert left.get_title(loc="left") == "(a) Between questions" + (", one in 3 of them" if drawn == 4 else "")
    some = every(shards_of(finished.base_scores), 3)
    found = np.full((some.examples, *finished.mask.shape), np.nan)
    for places, scores in some.shards():
        found[places] = scores
    np.testing.assert_array_equal(found, finished.base_scores[::3])
