"""What the figures of an experiment show, read back from their axes."""

import dataclasses

import numpy as np
import pytest

from jaxeap.rl.experiments.conditions import Condition
from jaxeap.rl.experiments.effect_plots import LinePanel, change_plot, clipped, line_panels, shown_range
from jaxeap.rl.experiments.effects import Effect


def effect(relative: float, half: float = 0.1) -> Effect:
    bounds = (relative - half, relative + half)
    seeds = {"1": relative - half / 2, "2": relative + half / 2}
    return Effect("intensity", "Intensity", seeds, relative, bounds, None, None)


def condition(name: str, relative: float, half: float = 0.1) -> Condition:
    empty = {field.name: {} for field in dataclasses.fields(Condition)}
    return Condition(**empty | {"name": name, "title": name, "effects": {"intensity": effect(relative, half)}})


def drawn(axes) -> list[str]:
    axes.figure.draw_without_rendering()
    return [label.get_text() for label in axes.get_xticklabels()]


def test_one_row_does_not_flatten_the_others():
    rows = [condition("a", 0.2), condition("b", -0.3), condition("c", 200.0, 150.0)]
    axes = change_plot(rows).axes[0]
    low, high = axes.get_xlim()
    assert -0.7 < low < -0.4 and 1.0 < high < 3.0
    assert [text.get_text() for text in axes.texts] == ["+20,000.0%"]
    arrows = [line for line in axes.lines if line.get_marker() == ">"]
    assert len(arrows) == 1 and arrows[0].get_xdata()[0] == pytest.approx(high) and arrows[0].get_ydata()[0] == 2
    assert clipped(rows) and not clipped(rows[:2])


def test_all_is_shown_where_rows_reach_alike():
    assert shown_range([effect(0.2), effect(-0.5), effect(0.6)]) is None
    axes = change_plot([condition("a", 0.2), condition("b", -0.5)]).axes[0]
    diamonds = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    assert diamonds == [0.2, -0.5] and not axes.texts
    assert all(label.endswith("%") for label in drawn(axes))


def test_intervals_and_axes_end_at_what_is_possible():
    panel = LinePanel("Accuracy", {"a": [(1, 0.9, (0.5, 1.4)), (2, 0.97, (0.9, 1.04))]}, "share", (0.0, 1.0), 0.3)
    axes = line_panels("step", [panel]).axes[0]
    ends = np.concatenate([segment[:, 1] for lines in axes.collections for segment in lines.get_segments()])
    assert ends.max() == 1.0 and ends.min() == 0.5
    bottom, top = axes.get_ylim()
    assert bottom < 0.3 and 1.0 < top < 1.03
    axes.figure.draw_without_rendering()
    labels = [label.get_text() for label in axes.get_yticklabels() if bottom <= label.get_position()[1] <= top]
    assert "100%" in labels and all(label.endswith("%") for label in labels)


@pytest.mark.parametrize(
    ("places", "scale", "labels"),
    [
        ((2, 4, 8, 16), "log", ["2", "4", "8", "16"]),
        ((0, 0.01, 0.1, 1), "symlog", ["0", "0.01", "0.1", "1"]),
        ((0.3, 0.6, 1.0, 1.5), "linear", ["0.3", "0.6", "1", "1.5"]),
        ((-1, 0, 1), "linear", ["\N{MINUS SIGN}1", "0", "1"]),
        ((1, 2, 3, 100), "linear", ["3", "100"]),
    ],
)
def test_ticks_are_values_that_are_there_as_plain_numbers(places, scale, labels):
    figure = line_panels("x", [LinePanel("Change", {"a": [(place, 0.1, None) for place in places]})], scale=scale)
    assert sorted(drawn(figure.axes[0])) == sorted(labels)
    low, high = figure.axes[0].get_xlim()
    assert low < min(places) and high > max(places)


def test_the_legend_lies_outside_the_panels_and_names_every_line_once():
    points = [(1, 0.1, None), (2, 0.3, (0.2, 0.4))]
    panels = [LinePanel("A", {"one": points, "two": points}), LinePanel("B", {"one": points}, reference=0.2)]
    figure = line_panels("x", panels)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["one", "two", "base"]
    box = legend.get_window_extent()
    assert all(not box.overlaps(axes.get_tightbbox()) for axes in figure.axes if axes.get_visible())
    assert not line_panels("x", [LinePanel("A", {"one": points})]).legends
