import numpy as np
import pytest

from jaxeap.report.relative_change import relative_change_map

SOURCES, DESTINATIONS = ("embed", "a0", "m0"), ("a0<q>", "m0", "logits")
MASK = np.array([[1, 1, 1], [0, 1, 1], [0, 0, 1]], bool)


def drawn(base, tuned):
    figure = relative_change_map(base, tuned, MASK, SOURCES, DESTINATIONS)
    figure.draw_without_rendering()
    axes, bar = figure.axes
    (image,) = axes.images
    return figure, axes, bar, image


def test_colours_are_log_ratios_and_what_has_none_is_grey():
    base = np.array([[1.0, 2.0, 4.0], [0.0, 1.0, 0.0], [0.0, 0.0, 8.0]])
    tuned = np.array([[2.0, 1.0, 4.0], [0.0, 4.0, 3.0], [0.0, 0.0, 2.0]])
    _, axes, bar, image = drawn(base, tuned)
    values = image.get_array()
    np.testing.assert_array_equal(values.mask, ~MASK | (base == 0))
    np.testing.assert_allclose(values.compressed(), [1, -1, 0, 2, -2])
    assert axes.get_title(loc="left") == "3 of 6 edges are stronger in tuned"
    assert [text.get_text() for text in bar.get_yticklabels()] == ["−75%", "−50%", "0", "+100%", "+300%"]
    assert image.norm.vmin == -image.norm.vmax == pytest.approx(-np.quantile([1, 1, 0, 2, 2], 0.98))


def test_doubled_and_halved_are_equally_far_from_unchanged():
    base = MASK * 1.0
    *_, image = drawn(base, MASK * np.array([[2.0, 0.5, 1.0]]))
    colours = image.cmap(image.norm(image.get_array()))
    np.testing.assert_allclose(image.norm([1.0, -1.0]), [1.0, 0.0])
    assert colours[0, 0, 0] > colours[0, 0, 2] and colours[0, 1, 2] > colours[0, 1, 0]  # red for more, blue for less


def test_equal_models_and_silent_ones_are_drawn():
    for values in (MASK * 1.0, MASK * 0.0):
        _, axes, _, _ = drawn(values, values)
        assert axes.get_title(loc="left").startswith("0 of 6")
