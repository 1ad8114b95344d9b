import dataclasses
import importlib

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch

from jaxeap.attribution.graph import EdgeGraph
from jaxeap.metrics.circuit_contrast import changes_of
from jaxeap.report.circuit_plot import LOOKS, circuit_plot
from tests.pipeline.conftest import tiny_model_config

module = importlib.import_module("jaxeap.report.circuit_plot")  # The package's own name for it is the function.


def case(level="block", share=0.5, **shape):
    graph = EdgeGraph.for_config(dataclasses.replace(tiny_model_config(), **shape), level)
    rng = np.random.default_rng(0)
    base, tuned = (rng.lognormal(size=graph.mask.shape) * graph.mask for _ in range(2))
    in_base, in_tuned = (graph.mask & (rng.random(graph.mask.shape) < share) for _ in range(2))
    return graph, in_base, in_tuned, base, tuned


def drawn(graph, in_base, in_tuned, base, tuned):
    figure = circuit_plot(in_base, in_tuned, base, tuned, graph.sources, graph.destinations)
    figure.draw_without_rendering()
    return figure, [[patch for patch in axes.patches if isinstance(patch, PathPatch)] for axes in figure.axes]


@pytest.mark.parametrize(("level", "shape"), [("block", {}), ("head", {"num_heads": 4, "num_kv_heads": 2})])
def test_every_edge_of_either_circuit_is_a_line_in_the_colour_of_its_change(level, shape):
    graph, in_base, in_tuned, base, tuned = case(level, **shape)
    figure, lines = drawn(graph, in_base, in_tuned, base, tuned)
    changes = changes_of(base, tuned, in_base, in_tuned)
    for patches, circuit in zip(lines, (in_base, in_tuned), strict=True):
        assert len(patches) == circuit.sum()
        for change, look in LOOKS.items():
            colours = [to_hex(patch.get_edgecolor()).upper() for patch in patches]
            assert colours.count(look.colour) == (changes[change] & circuit).sum(), change
    legend = {text.get_text() for text in figure.legends[0].get_texts()}
    assert f"in tuned alone ({changes['appear'].sum()})" in legend


def test_stronger_edges_are_wider_on_one_scale():
    graph, in_base, _, base, _ = case()
    _, (left, right) = drawn(graph, in_base, in_base, base, 4 * base)
    widths, of_tuned = (sorted(patch.get_linewidth() for patch in patches) for patches in (left, right))
    strengths = np.sort(base[in_base])
    np.testing.assert_allclose(widths, 0.5 + 3.5 * np.sqrt(strengths / (4 * strengths[-1])))
    np.testing.assert_allclose(np.array(of_tuned) - 0.5, 2 * (np.array(widths) - 0.5))


def test_edges_run_upwards_from_the_source_to_the_reader():
    graph, in_base, in_tuned, base, tuned = case()
    writers, readers = module._places(graph.sources, graph.destinations)
    for row, column in np.argwhere(graph.mask):
        assert writers[graph.sources[row]].y < readers[graph.destinations[column]].y
    assert readers["a1<q>"].x < readers["a1<k>"].x < readers["a1<v>"].x
    _, (left, _) = drawn(graph, in_base, in_tuned, base, tuned)
    ends = {(tuple(patch.get_path().vertices[0]), tuple(patch.get_path().vertices[-1])) for patch in left}
    assert ends == {
        (tuple(writers[graph.sources[row]]), tuple(readers[graph.destinations[column]]))
        for row, column in np.argwhere(in_base)
    }


def test_a_shared_key_ends_between_its_heads():
    graph, *_ = case("head", num_heads=4, num_kv_heads=2)
    writers, readers = module._places(graph.sources, graph.destinations)
    assert readers["a0.kv1<k>"].x == pytest.approx((writers["a0.h2"].x + writers["a0.h3"].x) / 2)


def test_of_a_large_circuit_the_strongest_edges_are_drawn_and_it_says_so(monkeypatch):
    monkeypatch.setattr(module, "MOST_DRAWN", 5)
    graph, in_base, in_tuned, base, tuned = case()
    figure, (left, _) = drawn(graph, in_base, in_tuned, base, tuned)
    assert len(left) == 5
    expected = 0.5 + 3.5 * np.sqrt(np.sort(base[in_base])[-5:] / max(base[in_base].max(), tuned[in_tuned].max()))
    np.testing.assert_allclose(sorted(patch.get_linewidth() for patch in left), expected)
    assert figure.axes[0].get_title(loc="left") == f"Base: the 5 strongest of {in_base.sum()} edges"


def test_empty_circuits_are_drawn():
    graph, in_base, _, base, tuned = case()
    nothing = in_base & False
    _, lines = drawn(graph, nothing, nothing, base, tuned)
    assert lines == [[], []]
