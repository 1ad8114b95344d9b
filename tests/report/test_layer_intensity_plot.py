import dataclasses

import numpy as np

from jaxeap.report.layer_intensity_plot import layer_intensity_plot
from jaxeap.report.style import BASE, TUNED


def test_lines_and_bands_are_the_values(finished):
    figure = layer_intensity_plot(finished.layers)
    models, logits, difference, _ = figure.axes
    layers = finished.layers[:3]
    for colour, line, band, name in zip(
        (BASE, TUNED), models.lines, models.collections, ("base", "tuned"), strict=True
    ):
        assert line.get_color() == colour and line.get_label() == name
        np.testing.assert_array_equal(line.get_ydata(), [getattr(row, name) for row in layers])
        drawn = {tuple(vertex) for vertex in band.get_paths()[0].vertices}
        for place, row in enumerate(layers):
            assert {(place, end) for end in getattr(row, f"{name}_interval")} <= drawn
    np.testing.assert_array_equal(difference.lines[0].get_ydata(), [row.difference for row in layers])
    assert [line.get_ydata()[0] for line in logits.lines] == [finished.layers[3].base, finished.layers[3].tuned]


def test_logits_stand_apart_and_layers_are_numbered(finished):
    figure = layer_intensity_plot(finished.layers, confidence=0.9)
    figure.draw_without_rendering()
    _, _, layers, logits = figure.axes
    assert [label.get_text() for label in layers.get_xticklabels()] == ["0", "1", "2"]
    assert [label.get_text() for label in logits.get_xticklabels()] == ["logits"]
    assert "90%" in figure.get_suptitle()


def test_many_layers_are_named_sparsely_and_without_logits(finished):
    rows = [dataclasses.replace(finished.layers[0], layer=str(number)) for number in range(40)]
    figure = layer_intensity_plot(rows)
    figure.draw_without_rendering()
    assert len(figure.axes) == 2
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == [str(n) for n in range(0, 40, 3)]


def test_layers_of_very_different_strength_get_a_logarithmic_axis(finished):
    strong = dataclasses.replace(finished.layers[0], base=5.0, tuned=6.0)
    assert layer_intensity_plot([strong, *finished.layers[1:]]).axes[0].get_yscale() == "log"
    assert layer_intensity_plot(finished.layers).axes[0].get_yscale() == "linear"


def test_without_intervals_and_without_scores(finished):
    none = {"base_interval": None, "tuned_interval": None, "difference_interval": None}
    zero = {"base": 0.0, "tuned": 0.0, "difference": 0.0}
    for changes in (none, none | zero):
        rows = [dataclasses.replace(row, **changes) for row in finished.layers]
        layer_intensity_plot(rows).draw_without_rendering()
