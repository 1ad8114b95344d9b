from typing import Any

import numpy as np
import pytest

from jaxeap.report.page.comparison import render_comparison, write_comparison_page
from tests.report.page.finished import HOSTILE
from tests.report.page.test_render import Outline


def row(difference: float | None, run: str) -> dict[str, Any]:
    interval = None if difference is None else {"low": difference - 0.1, "high": difference + 0.1}
    return {"title": "Activation intensity", "base": 1.0, "tuned": None, "difference": difference, "interval": interval,
            "relative_change": difference, "p_value": 0.5, "examples": 12, "run": run}  # fmt: skip


def beyond(difference: float, common: int, on_common: float | None) -> dict[str, Any]:
    interval = {"low": difference - 0.1, "high": difference + 0.1}
    name, drawn = ("intensity", "partly paired") if common else ("diversity", "unpaired")
    return {"metric": name, "title": name.title(), "reference": 0.5, "change": 0.5 + difference, "common": common,
            "difference": difference, "interval": interval, "drawn": drawn, "common_difference": on_common,
            "common_interval": None}  # fmt: skip


@pytest.fixture(scope="module")
def comparison() -> dict[str, Any]:
    names = ["grpo", HOSTILE, "sft"]
    return {
        "runs": [{"name": name, "base": "base", "tuned": name, "questions": 12, "confidence": 0.95} for name in names],
        "metrics": {
            "intensity": [row(0.5, "grpo"), row(0.05, HOSTILE), row(None, "sft")],
            "diversity": [row(-0.5, "grpo"), None, None],
        },
        "differing": {"tuned": ["ab" * 32, "cd" * 32, "ef" * 32]},
        "besides": ["config.dtype differs"],
        "cautions": ["the tuned model is the same in all runs"],
        "axis": {"title": "step", "values": [30.0, 10.0, 20.0]},
        "beyond_first": [
            {
                "run": HOSTILE,
                "reference": "grpo",
                "rows": [beyond(-0.45, 7, -0.4), beyond(0.3, 0, None)],
                "missing": "",
            },
            {"run": "sft", "reference": "grpo", "rows": [], "missing": "the runs differ in metrics.bins"},
        ],
    }


def test_a_row_for_each_run_and_dashes_where_there_is_no_value(comparison: dict[str, Any], tmp_path):
    html = write_comparison_page(tmp_path / "comparison.html", comparison).read_text(encoding="utf-8")
    outline = Outline(html)
    assert [attributes["id"] for attributes in outline.of("section")] == ["runs", "beyond_first", "by_metric", "models"]
    assert "+0.500" in html
    assert html.count('class="strip apart"') == 4
    assert "−0.450" in html and "7 common" in html and "none common" in html
    assert "sft: the runs differ in metrics.bins" in html
    assert not outline.of("img")
    assert outline.data("runs")["metrics"][1]["rows"][1]["difference"] is None


def test_what_is_the_same_does_not_stand_under_what_differs(comparison: dict[str, Any]):
    html = render_comparison(comparison)
    differs = html.index("<b>What differs besides the tuned model</b>")
    minded = html.index("<b>What to keep in mind</b>")
    assert differs < html.index("config.dtype differs") < minded < html.index("the tuned model is the same in all runs")
    assert "What differs besides" not in render_comparison(comparison | {"besides": []})


def test_a_series_is_joined_in_its_order(comparison: dict[str, Any], visit):
    opened = visit(render_comparison(comparison))
    opened.show("plot-runs")
    drawn = opened.page.evaluate("(({x, y}) => ({x, y}))(document.getElementById('plot-runs').data[0])")
    assert drawn["x"] == [10, 30]
    np.testing.assert_allclose(drawn["y"], [0.05, 0.5])
    opened.page.locator("#run-metric").select_option(label="Activation intensity")
