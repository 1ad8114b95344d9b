"""The page in a real browser: what a reader sees, points at and moves. See `visit` for what holds on every page."""

import dataclasses
import re
import time

import numpy as np
import pytest

from jaxeap.report.page import Content, render
from tests.report.page.conftest import Visit
from tests.report.page.finished import block_graph, finished_content, head_graph, random_scores, scored_edges


def drawn_by_numpy(content: Content, threshold: float) -> tuple[int, int, int]:
    """Edges of base, of tuned, and of either, whose mean |score| reaches the threshold."""
    assert content.edges is not None
    base, tuned = (np.nan_to_num(content.edges.values[role], nan=-1) >= threshold for role in ("base", "tuned"))
    return int(base.sum()), int(tuned.sum()), int((base | tuned).sum())


def test_slider_draws_the_edges_that_reach_the_threshold(content: Content, desk: Visit):
    page = desk.page
    page.locator("#graph-base").scroll_into_view_if_needed()
    page.wait_for_function("() => jaxeap.graphs.tuned !== undefined")
    seen = set()
    for step in ("0", "250", "600", "1000"):
        page.locator("#threshold").fill(step)
        said = page.locator("#drawn").evaluate("element => ({...element.dataset})")
        expected = drawn_by_numpy(content, float(said["threshold"]))
        assert (int(said["base"]), int(said["tuned"]), int(said["together"])) == expected
        visible = page.evaluate("['base', 'tuned'].map((role) => jaxeap.graphs[role].edges(':visible').length)")
        assert tuple(visible) == expected[:2]
        assert f"{expected[2]:,} of 46 edges drawn" in page.locator("#drawn").inner_text()
        seen.add(expected)
    assert len(seen) > 2
    assert drawn_by_numpy(content, 0.0)[2] == 46


def test_changes_of_drawn_edges_are_those_of_numpy(content: Content, desk: Visit):
    assert content.edges is not None
    page = desk.page
    said = page.locator("#drawn").evaluate("element => ({...element.dataset})")
    values, threshold = content.edges.values, float(said["threshold"])
    base, tuned = values["base"] >= threshold, values["tuned"] >= threshold
    above, below = values["low"] > 0, values["high"] < 0
    expected = {
        "appear": tuned & ~base, "vanish": base & ~tuned, "strengthen": base & tuned & above,
        "weaken": base & tuned & below, "unclear": base & tuned & ~above & ~below,
    }  # fmt: skip
    assert {name: int(said[name]) for name in expected} == {name: int(each.sum()) for name, each in expected.items()}


def test_hover_names_the_edge_under_the_pointer(content: Content, desk: Visit):
    assert content.edges is not None
    desk.show("plot-map-difference")
    page, edges = desk.page, content.edges
    for source, destination in (("a0", "m0"), ("m1", "a2<k>"), ("a2", "logits")):
        row, column = edges.sources.index(source), edges.destinations.index(destination)
        area = page.locator("#plot-map-difference .nsewdrag").first.bounding_box()
        page.mouse.move(1, 1)
        page.mouse.move(
            area["x"] + area["width"] * (column + 0.5) / len(edges.destinations),
            area["y"] + area["height"] * (row + 0.5) / len(edges.sources),
        )
        page.wait_for_function(
            "(wanted) => document.querySelector('#plot-map-difference .hovertext')?.textContent.startsWith(wanted)",
            arg=f"{source} → {destination}",
        )
        text = page.locator("#plot-map-difference .hovertext").first.text_content()
        low, high = (float(edges.values[end][row, column]) for end in ("low", "high"))
        said = re.search(r"interval \[([^,]+), ([^\]]+)\]", text).groups()
        np.testing.assert_allclose([float(end.replace("−", "-")) for end in said], [low, high], rtol=1e-3)
        holds = low <= 0 <= high
        assert ("holds 0" if holds else "leaves 0 out") in text


def test_filter_keeps_what_is_distinguishable_from_zero(content: Content, desk: Visit):
    assert content.edges is not None
    desk.show("plot-map-difference")
    values = content.edges.values
    expected = {
        "all": 46,
        "apart": int(((values["low"] > 0) | (values["high"] < 0)).sum()),
        "discovered": int((values["q_value"] <= 0.05).sum()),
    }
    assert 0 < expected["apart"] < 46
    for choice, number in expected.items():
        desk.page.locator("#edge-filter").select_option(choice)
        assert desk.page.locator("#edge-filter-count").get_attribute("data-shown") == str(number)
    desk.page.locator("#edge-filter").select_option("all")


def test_identical_models_have_a_map_of_zeros_and_no_change(identical: Content, visit):
    opened = visit(render(identical))
    opened.show("plot-map-difference")
    values = opened.page.evaluate(
        "document.getElementById('plot-map-difference').data.flatMap((trace) => (trace.z || []).flat())"
        ".filter((value) => value !== null)"
    )
    assert values == [0] * 46
    said = opened.page.locator("#drawn").evaluate("element => ({...element.dataset})")
    assert [said[name] for name in ("appear", "vanish", "strengthen", "weaken")] == ["0"] * 4


def test_halves_between_the_models_stand_beside_those_within_each(content: Content, desk: Visit):
    assert content.circuits is not None
    desk.show("plot-halves")
    drawn = desk.page.evaluate(
        "document.getElementById('plot-halves').data.map((trace) => [trace.name, trace.x, trace.y])"
    )
    rows = content.circuits["matched_size"]
    by_name = {name: dict(zip(x, y, strict=True)) for name, x, y in drawn}
    for name, key in (
        ("base on one half, tuned on the other", "between"),
        ("base on both halves", "within_base"),
        ("tuned on both halves", "within_tuned"),
    ):
        assert by_name[name] == {row["edges"]: row["halves"][key] for row in rows}
    assert len(by_name) == 4


def test_toolbar_covers_no_legend(desk: Visit):
    page = desk.page
    for name in ("plot-halves", "plot-overlap", "plot-enough", "plot-depth"):
        desk.show(name).hover()
        bar = page.locator(f"#{name} .modebar").bounding_box()
        legend = page.locator(f"#{name} .legend").bounding_box()
        plot = page.locator(f"#{name}").bounding_box()
        assert legend["y"] + legend["height"] < bar["y"], name
        assert bar["y"] + bar["height"] <= plot["y"] + plot["height"] + 1, name


def test_no_button_offers_to_upload_a_plot(desk: Visit):
    desk.show("plot-map-difference")
    titles = desk.page.locator("#plot-map-difference .modebar-btn").evaluate_all(
        "(buttons) => buttons.map((button) => button.dataset.title)"
    )
    assert set(titles) == {"Download plot as a PNG", "Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes"}


def test_every_panel_draws_in_the_dark_and_on_a_phone_without_sideways_scrolling(content: Content, visit):
    opened = visit(render(content), viewport={"width": 390, "height": 844}, color_scheme="dark", has_touch=True)
    page = opened.page
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        page.wait_for_function(
            "(id) => document.querySelector(`#${id} .main-svg`) !== null", arg=plot.get_attribute("id")
        )
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".modebar").count() == 0  # On a finger it would lie over everything, always.
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 26)"
    light = "document.querySelector('#plot-depth .xtick text').style.fill"
    before = page.evaluate(light)
    page.emulate_media(color_scheme="light")
    page.wait_for_function(f"(before) => {light} !== before", arg=before)


def test_an_edge_is_chosen_by_keyboard_and_shows_every_question(content: Content, desk: Visit):
    page = desk.page
    page.locator("#threshold").fill("500")
    page.locator("#threshold").focus()
    before = page.locator("#drawn").get_attribute("data-threshold")
    page.keyboard.press("ArrowRight")
    assert page.locator("#drawn").get_attribute("data-threshold") != before
    button = page.locator("#edge-list button").nth(1)
    button.focus()
    page.keyboard.press("Enter")
    assert page.locator("#edge-name").inner_text() == button.inner_text()
    desk.show("plot-edge")
    edges, questions = content.edges, content.questions
    assert edges is not None
    assert questions is not None
    source, destination = button.inner_text().split(" → ")
    row, column = edges.sources.index(source), edges.destinations.index(destination)
    expected = np.concatenate([scores[:, row, column] for _, scores in questions.tuned()])
    found = page.evaluate("document.getElementById('plot-edge').data[1].customdata")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_tab_reaches_navigation_controls_and_tables(desk: Visit):
    page = desk.page
    page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
    page.locator("h1").click()
    reached = []
    for _ in range(90):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.tagName.toLowerCase()"))
    assert reached[0] == "a"
    for name in ("edge-filter", "threshold", "fit", "depth-quantity"):
        assert name in reached
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"


def test_large_graph_is_shown_by_blocks_with_single_edges_on_demand(visit):
    graph = head_graph(layers=8, heads=16, kv_heads=4)
    content = finished_content(*random_scores(graph[2], examples=4), graph, "head")
    opened = visit(render(content))
    opened.show("plot-map-difference")
    page = opened.page
    page.locator("#block-source").select_option(label="a2")
    page.locator("#block-destination").select_option(label="a5<k>")
    opened.show("plot-map-block")
    assert "64 of 64 edges" in page.locator("#block-count").inner_text()
    found = page.evaluate(
        "document.getElementById('plot-map-block').data.flatMap((trace) => (trace.z || []).flat())"
        ".filter((value) => value !== null).length"
    )
    assert found == 64


@pytest.mark.slow
def test_a_million_edges_are_usable_within_five_seconds(visit):
    graph = head_graph(layers=32, heads=37, kv_heads=8)
    mask = graph[2]
    assert mask.sum() > 1_000_000
    generator = np.random.default_rng(0)
    base = (1e-4 * generator.lognormal(sigma=2.0, size=(2, *mask.shape)) * mask).astype(np.float32)
    tuned = (base * generator.lognormal(sigma=0.5, size=base.shape)).astype(np.float32)
    small = finished_content(*random_scores(block_graph(1)[2], examples=6), block_graph(1))
    html = render(dataclasses.replace(small, questions=None, edges=scored_edges("head", graph, base, tuned)))
    assert len(html.encode()) < 15_000_000
    start = time.monotonic()
    opened = visit(html)
    seconds = time.monotonic() - start
    assert seconds < 5
    opened.show("plot-map-difference")
    before = time.monotonic()
    opened.page.locator("#threshold").fill("500")
    assert time.monotonic() - before < 2
