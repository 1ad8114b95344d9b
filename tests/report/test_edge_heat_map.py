import itertools

import numpy as np
import pytest

from jaxeap.report.edge_heat_map import edge_heat_maps, mean_over_examples
from jaxeap.report.style import NON_EDGE
from tests.report.conftest import shards_of


def maps_of(finished, tuned=None):
    """The axes and images of base, tuned and difference, in this order."""
    figure = edge_heat_maps(
        finished.base_scores,
        finished.tuned_scores if tuned is None else tuned,
        finished.mask,
        finished.sources,
        finished.destinations,
    )
    axes = [axes for axes in figure.axes if axes.images]
    return figure, axes, [axes.images[0] for axes in axes]


def test_what_is_drawn_is_the_mean_over_examples(finished):
    _, axes, images = maps_of(finished)
    base, tuned = (s.astype(np.float64).mean(axis=0) for s in (finished.base_scores, finished.tuned_scores))
    for image, expected in zip(images, (base, tuned, tuned - base), strict=True):
        drawn = image.get_array()
        np.testing.assert_array_equal(np.ma.getmaskarray(drawn), ~finished.mask)
        np.testing.assert_allclose(drawn.compressed(), expected[finished.mask], rtol=1e-12)
    assert [a.get_title(loc="left") for a in axes] == ["Base", "Tuned", "Tuned − base"]


def test_scores_in_shards_have_the_same_mean(finished):
    for of in (np.abs, lambda scores: scores):
        found = mean_over_examples(shards_of(finished.base_scores), of)
        np.testing.assert_allclose(found, of(finished.base_scores).mean(axis=0, dtype=np.float64), rtol=1e-12)


def test_colours_are_symmetric_and_base_and_tuned_comparable(finished):
    _, _, (base, tuned, difference) = maps_of(finished)
    assert base.norm is tuned.norm is not difference.norm
    for image in (base, difference):
        assert image.norm.vmin == -image.norm.vmax
        np.testing.assert_allclose(image.norm([-0.002, 0.002]).sum(), 1, rtol=1e-12)
        assert image.norm(0.0) == pytest.approx(0.5)
        red, _, blue, _ = image.to_rgba(image.norm.vmax)
        assert red > blue
    largest = max(np.abs(image.get_array()).max() for image in (base, tuned))
    assert base.norm.vmax == pytest.approx(largest)
    assert base.cmap.get_bad()[:3] == pytest.approx([int(NON_EDGE[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def test_few_nodes_are_named(finished):
    figure, axes, _ = maps_of(finished)
    figure.draw_without_rendering()
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(finished.sources)
    assert [label.get_text() for label in axes[2].get_xticklabels()] == list(finished.destinations)
    assert list(axes[2].get_xticks()) == list(range(13))


def test_many_nodes_are_named_by_layer():
    sources = ("embed", *(f"{kind}{layer}" for layer in range(28) for kind in "am"))
    destinations = (
        *(f"{node.format(layer)}" for layer in range(28) for node in ("a{}<q>", "a{}<k>", "a{}<v>", "m{}")),
        "logits",
    )
    mask = np.triu(np.ones((57, 113), bool))
    scores = np.random.default_rng(0).normal(size=(2, 57, 113)) * mask
    figure = edge_heat_maps(scores, scores, mask, sources, destinations)
    figure.draw_without_rendering()
    axes = [axes for axes in figure.axes if axes.images][2]
    x_labels = {label.get_text(): at for label, at in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)}
    y_labels = {label.get_text(): at for label, at in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True)}
    assert x_labels == {"0": 0, "4": 16, "8": 32, "12": 48, "16": 64, "20": 80, "24": 96, "logits": 112}
    assert y_labels == {"embed": 0, "4": 9, "8": 17, "12": 25, "16": 33, "20": 41, "24": 49}
    boxes = sorted((label.get_window_extent() for label in axes.get_xticklabels()), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1.0, 1e12])
def test_any_scale_can_be_drawn(finished, scale):
    figure, _, _ = maps_of(finished, tuned=scale * finished.base_scores.astype(np.float64))
    figure.draw_without_rendering()
    bars = [axes for axes in figure.axes if not axes.images]
    assert len(bars) == 3
    for bar in bars:
        labels = [label.get_text() for label in bar.get_yticklabels()]
        assert "0" in labels and 3 <= len(labels) <= 11
