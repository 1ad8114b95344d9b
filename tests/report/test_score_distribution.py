import numpy as np

from jaxeap.report.score_distribution import EDGES, count_magnitudes, score_distribution
from jaxeap.report.style import BASE, TUNED
from tests.report.conftest import shards_of


def test_curves_are_the_shares_of_edges(finished):
    figure = score_distribution(finished.base_scores, finished.tuned_scores, finished.mask)
    histogram, survival = figure.axes
    assert histogram.get_xscale() == survival.get_xscale() == survival.get_yscale() == "log"
    for colour, scores in ((BASE, finished.base_scores), (TUNED, finished.tuned_scores)):
        magnitudes = np.abs(scores[:, finished.mask]).ravel().astype(np.float64)
        (curve,) = [line for line in survival.lines if line.get_color() == colour and len(line.get_xdata()) > 2]
        for x, y in zip(*curve.get_data(), strict=True):
            np.testing.assert_allclose(y, np.mean(magnitudes >= x), rtol=1e-12)
        assert curve.get_xdata()[-1] == magnitudes.max()
        mean_lines = [line for line in histogram.lines if line.get_color() == colour]
        np.testing.assert_allclose(mean_lines[0].get_xdata(), magnitudes.mean())
    shares, edges, _ = histogram.patches[0].get_data()
    base = np.abs(finished.base_scores[:, finished.mask])
    np.testing.assert_allclose(shares.sum(), np.mean((base >= edges[0]) & (base <= edges[-1])), rtol=1e-12)
    assert shares.sum() > 0.99


def test_zeros_are_counted_in_words(finished):
    base = finished.base_scores.copy()
    base[:, 0, 0] = 0
    figure = score_distribution(base, finished.tuned_scores, finished.mask)
    first, second = (text.get_text() for text in figure.axes[1].get_legend().get_texts())
    assert f"12 of {12 * finished.mask.sum()} are exactly 0" in first and "exactly 0" not in second


def test_one_silent_model_and_two(finished):
    silent = np.zeros_like(finished.base_scores)
    figure = score_distribution(silent, finished.tuned_scores, finished.mask)
    figure.draw_without_rendering()
    figure = score_distribution(silent, silent, finished.mask)
    figure.draw_without_rendering()
    assert [axes.texts[0].get_text() for axes in figure.axes] == ["every score is 0"] * 2


def test_a_single_edge_can_be_drawn():
    score_distribution(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.ones((1, 1), bool)).draw_without_rendering()


def test_counts_shard_by_shard_are_those_of_numpy(finished):
    scores = finished.base_scores.copy()
    scores[0, finished.mask] = [0.0, 1.0, 3e-45, *scores[1, finished.mask][3:]]
    found = count_magnitudes(shards_of(scores), finished.mask)
    magnitudes = np.abs(scores[:, finished.mask]).ravel().astype(np.float64)
    assert (found.zeros, found.number, found.largest) == (1, magnitudes.size, (1.0, 1))
    np.testing.assert_allclose(found.mean, magnitudes.mean(), rtol=1e-12)
    expected = [np.count_nonzero(magnitudes >= edge) for edge in EDGES[::97]]
    np.testing.assert_array_equal(found.at_least[::97], expected)
    assert found.counts.sum() == magnitudes.size - 1
