"""The page's structure, without a browser."""

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from jaxeap.report.page import Content, render, write_page
from jaxeap.report.page.panels import panels
from tests.report.page.finished import HOSTILE


class Outline(HTMLParser):
    """Elements with their attributes, and the content of scripts, as a browser finds them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        found = re.findall(r"<script([^>]*)>(.*?)</script>", html, re.DOTALL)
        self.scripts = [(dict(re.findall(r'(\w+)="([^"]*)"', attributes)), text) for attributes, text in found]
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def data(self, name: str) -> Any:
        return next(json.loads(text) for attributes, text in self.scripts if attributes.get("id") == f"data-{name}")


@pytest.fixture(scope="module")
def html(content: Content) -> str:
    return render(content)


@pytest.fixture(scope="module")
def outline(html: str) -> Outline:
    return Outline(html)


def test_every_panel_is_a_section_with_a_heading_and_a_link(outline: Outline, content: Content):
    names = [panel.name for panel in panels(content)]
    assert [attributes["id"] for attributes in outline.of("section")] == names
    links = [attributes["href"] for attributes in outline.of("a")]
    assert links == ["#main", *(f"#{name}" for name in names)]
    headings = {attributes.get("id") for attributes in outline.of("h2")}
    assert headings == {f"{name}-title" for name in names}
    assert len(outline.of("h1")) == 1


def test_every_panel_says_how_to_read_it_and_what_could_mislead(html: str, content: Content):
    for panel in panels(content):
        assert panel.view is not None
        assert panel.read
        assert panel.beware
    assert html.count('class="beware"') == len(panels(content))


def test_nothing_is_loaded_and_only_the_known_scripts_may_run(outline: Outline):
    for tag, attributes in outline.elements:
        assert not {"src", "srcset", "data", "action"} & attributes.keys(), tag
        assert not any(name.startswith("on") for name in attributes), tag
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
    (policy,) = (each["content"] for each in outline.of("meta") if each.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["style-src"] == "'unsafe-inline'"
    run = [text for attributes, text in outline.scripts if attributes.get("type") != "application/json"]
    hashes = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in run]
    assert rules["script-src"].split() == hashes


def test_text_of_questions_stays_text(outline: Outline, html: str):
    assert outline.data("questions")["texts"][0] == " ".join(HOSTILE.split())
    assert not outline.of("img")
    assert "alert(1)" in html
    assert "<script>alert" not in html
    assert "tiny/&lt;b&gt;grpo&lt;/b&gt;" in html


def test_data_hold_the_edges_bit_for_bit(outline: Outline, content: Content):
    assert content.edges is not None
    data = outline.data("edges")
    flat = np.flatnonzero(content.edges.mask)
    source = np.frombuffer(base64.b64decode(data["source"]["base64"]), "<u4")
    destination = np.frombuffer(base64.b64decode(data["destination"]["base64"]), "<u4")
    np.testing.assert_array_equal(source * len(data["destinations"]) + destination, flat)
    for name, packed in data["arrays"].items():
        values = np.frombuffer(base64.b64decode(packed["base64"]), "<f4")
        np.testing.assert_array_equal(values, content.edges.values[name].ravel()[flat])
    assert data["complete"]
    assert data["blocks"] is None


def test_verdicts_stand_above_the_table_and_the_audit_between(html: str):
    places = [
        html.index(text)
        for text in (
            "Of the paper&#39;s four claims, one is supported, one is not supported and two are undecided.",
            'class="card supported"',
            "May scores be read as effects?",
            "Activation intensity</th>",
            "Choices: all matrix entries",
        )
    ]
    assert places == sorted(places)


def test_what_a_run_left_out_is_said_in_a_line(bare: Content):
    html = render(bare)
    shown = Outline(html)
    missing = [panel for panel in panels(bare) if panel.view is None]
    assert {panel.name for panel in missing} >= {"edges", "circuits", "controls", "audit", "correlates", "weights"}
    for panel in missing:
        assert panel.missing in html.replace("&#39;", "'")
    assert "No verdicts" in html
    assert not [attributes for attributes, _ in shown.scripts if attributes.get("type") == "application/json"]
    assert len(html) < 200_000, "libraries are left out where there is nothing to draw"


def test_values_that_do_not_exist_are_dashes(content: Content):
    empty = {"base": None, "tuned": None, "difference": None, "relative_change": None, "interval": None}
    metrics = dict(content.metrics["contrast"]["metrics"])
    metrics["kurtosis"] = metrics["kurtosis"] | empty | {"p_value": None, "effect_size": None}
    changed = content.metrics | {"contrast": content.metrics["contrast"] | {"metrics": metrics}}
    row = render(dataclasses.replace(content, metrics=changed)).split("Distribution kurtosis</th>")[1]
    assert row.split("</tr>")[0].count("<td>–</td>") == 7


def test_a_null_pair_stands_with_how_much_more_this_pair_changed(bare: Content, content: Content):
    assert content.controls is not None
    row = {"metric": "intensity", "title": "Activation intensity", "change": 3.0, "reference": -2.0, "difference": 5.0}
    row |= {"interval": {"low": -1.0, "high": 9.0}, "drawn": "unpaired", "common": 0}
    row |= {"common_difference": None, "common_interval": None}
    null = {"tuned": "sft", "questions": 7, "rows": [], "relative_norm": None, "beyond": [row], "missing": None}
    html = render(dataclasses.replace(bare, controls=content.controls | {"null_pair": null}))
    assert "<td>–</td><td>–</td></tr></tbody>" in html
    assert "no question is common, so each pair&#39;s are drawn alone." in html
    cells = "<td>+3.00</td><td>−2.00</td><td>+5.00</td><td>[−1.00, +9.00]</td>"
    assert f'<th scope="row">Activation intensity</th>{cells}' in html
    null |= {"beyond": [], "missing": "its scores are <gone>"}
    html = render(dataclasses.replace(bare, controls=content.controls | {"null_pair": null}))
    assert "was not held against the null pair&#39;s: its scores are &lt;gone&gt;." in html and cells not in html


def test_page_is_written_whole(tmp_path, bare: Content):
    path = write_page(tmp_path / "report.html", bare)
    assert path.read_text(encoding="utf-8") == render(bare)
    assert [each.name for each in tmp_path.iterdir()] == ["report.html"]
