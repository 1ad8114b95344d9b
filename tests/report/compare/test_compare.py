"""Runs side by side: what differs, what misleads, and what the table and the figure show."""

import dataclasses
import json

import numpy as np
import pytest
import rich.console

from jaxeap.metrics.change_difference import ChangeDifference
from jaxeap.report.compare import (
    BeyondFirst,
    RunResult,
    beyond_first_cells,
    beyond_first_table,
    compare_results,
    comparison_cells,
    comparison_markdown,
    comparison_plot,
    comparison_table,
    incomparable,
)
from jaxeap.report.compare.runs import distinct_names

SETTINGS = {"base": "b" * 64, "tuned": "1" * 64, "selection.alpha": 0.1, "attribution.level": "block"}


@pytest.fixture
def run(finished):
    def make(name, **changes):
        settings = SETTINGS | {"tuned": name.ljust(64, "0")} | changes.pop("settings", {})
        fields = {"name": name, "folder": f"/w/{name}", "base": "sft", "tuned": f"pairs/{name}", "settings": settings,
                  "contrast": finished.contrast, "questions": ("q1", "q2")}  # fmt: skip
        return RunResult(**fields | changes)

    return make


def test_runs_that_differ_in_the_tuned_model_alone_have_no_warning(run):
    found = compare_results([run("grpo"), run("ppo"), run("dpo")])
    assert list(found.differing) == ["tuned"]
    assert found.warnings == ()
    assert found.axis is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"settings": {"base": "c" * 64}, "base": "other"}, ["config.base differs (grpo sft, ppo other): "]),
        ({"settings": {"selection.alpha": 0.3}}, ["config.selection.alpha differs (grpo 0.1, ppo 0.3): other parts"]),
        ({"settings": {"attribution.level": "head"}}, ["config.attribution.level differs (grpo block, ppo head): "]),
        ({"settings": {"new": 1}}, ["config.new differs (grpo None, ppo 1)"]),
        ({"questions": ("q2", "q3", "q4")}, ["not the same questions are compared in all runs (grpo 2, ppo 3; 1 are"]),
    ],
)  # fmt: skip
def test_what_else_differs_is_said(run, changes, said):
    warnings = compare_results([run("grpo"), run("ppo", **changes)]).warnings
    assert len(warnings) == len(said)
    assert all(warning.startswith(start) for warning, start in zip(warnings, said, strict=True)), warnings


def test_one_run_or_one_twice_is_refused(run):
    with pytest.raises(ValueError, match="at least two runs, got 1"):
        compare_results([run("grpo")])
    with pytest.raises(ValueError, match="given twice"):
        compare_results([run("grpo"), run("ppo", folder="/w/grpo")])


def test_a_setting_that_alone_differs_orders_the_runs(run):
    alphas = [run(f"a{place}", settings={"selection.alpha": alpha, "tuned": "1" * 64})
              for place, alpha in enumerate((0.3, 0.03, 0.1))]  # fmt: skip
    found = compare_results(alphas)
    assert (found.axis.title, found.axis.values) == ("selection.alpha", (0.3, 0.03, 0.1))
    assert found.cautions == ("the tuned model is the same in all runs",)
    assert len(found.besides) == 1


def test_checkpoints_are_ordered_by_the_number_in_their_names(run):
    series = [run(name, tuned=f"grpo/checkpoint-{step}/") for name, step in (("x", 200), ("y", 50), ("z", 1000))]
    found = compare_results(series)
    assert (found.axis.title, found.axis.values) == ("checkpoint", (200.0, 50.0, 1000.0))
    named = compare_results([run("step_20", tuned="m"), run("step_3", tuned="m")])
    assert (named.axis.title, named.axis.values) == ("step", (20.0, 3.0))
    assert compare_results([run("ppo", tuned="ppo7"), run("dpo", tuned="dpo8")]).axis is None
    different_alpha = run("step_3", settings={"selection.alpha": 1.0})
    assert compare_results([run("step_20"), different_alpha]).axis is None


def test_the_table_has_a_row_for_each_metric_and_run(run, finished):
    other = dataclasses.replace(finished.contrast, metrics=finished.contrast.metrics[:-1])
    found = compare_results([run("grpo"), run("ppo", contrast=other)])
    header, *rows = comparison_cells(found)
    metrics = finished.contrast.metrics
    assert header[:2] == ("Metric", "Run") and "95% interval" in header
    assert [row[1] for row in rows] == ["grpo", "ppo"] * len(metrics)
    assert [row[0] for row in rows[::2]] == [metric.title for metric in metrics]
    assert rows[0][2:] == rows[1][2:] and rows[0][-1] == "12"
    assert rows[-1][2:] == ("–",) * 6
    text = comparison_markdown(found)
    assert text.count("\n| ") == len(rows) + 2 + 2 + 2  # its header and rule, then the models' header, rule and rows
    assert "| ppo | sft | pairs/ppo |" in text
    console = rich.console.Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(comparison_table(found))
    assert console.export_text().count("grpo") == len(metrics)


def test_how_much_more_a_run_changed_has_a_table_of_its_own(run):
    def row(name, title, **changes):
        fields = {"reference": 1.0, "change": 3.0, "difference": 2.0, "interval": (1.5, 2.5), "drawn": "paired",
                  "common": 12} | changes  # fmt: skip
        return ChangeDifference(name, title, **fields)

    rows = (row("intensity", "Intensity"), row("diversity", "Diversity", drawn="unpaired", common=0, interval=None))
    partly = row("intensity", "Intensity", drawn="partly paired", common=7, common_difference=-1.0)
    beyond = [BeyondFirst("ppo", rows), BeyondFirst("dpo", (partly,)), BeyondFirst("sft", (), "other metrics")]
    found = compare_results([run("grpo"), run("ppo"), run("dpo"), run("sft")], beyond)
    header, *cells = beyond_first_cells(found)
    assert header[2:4] == ("Change − that of grpo", "95% interval")
    assert cells == [
        ("Intensity", "ppo", "+2.00", "[+1.50, +2.50]", "the same", "–", "–"),
        ("", "dpo", "+2.00", "[+1.50, +2.50]", "7 common", "-1.00", "–"),
        ("Diversity", "ppo", "+2.00", "–", "none common", "–", "–"),
    ]
    text = comparison_markdown(found)
    assert "| Intensity | ppo | +2.00 |" in text and "- sft: other metrics." in text
    content = json.loads(json.dumps(found.to_json()))["beyond_first"]
    assert [(each["run"], len(each["rows"])) for each in content] == [("ppo", 2), ("dpo", 1), ("sft", 0)]
    assert content[0]["reference"] == "grpo" and content[0]["rows"][0]["interval"]["low"] == 1.5
    assert beyond_first_table(compare_results([run("grpo"), run("ppo")])) is None


def test_runs_with_other_kinds_of_numbers_are_told(run):
    other = run("ppo", settings={"attribution.level": "head", "metrics.bins": 10, "selection.alpha": 0.3})
    assert incomparable(run("grpo"), other) == ["attribution.level", "metrics.bins"]
    assert incomparable(run("grpo"), run("ppo")) == []


def test_json_has_the_rows_by_metric_and_run(run):
    content = json.loads(json.dumps(compare_results([run("grpo"), run("ppo")]).to_json()))
    rows = content["metrics"]["intensity"]
    assert [row["run"] for row in rows] == ["grpo", "ppo"]
    assert rows[0]["difference"] == pytest.approx(rows[0]["tuned"] - rows[0]["base"])
    assert rows[0]["interval"]["low"] < rows[0]["interval"]["high"]
    assert content["runs"][1] == {
        "name": "ppo", "folder": "/w/ppo", "base": "sft", "tuned": "pairs/ppo", "questions": 2, "confidence": 0.95,
    }  # fmt: skip
    assert content["axis"] is None and content["besides"] == content["cautions"] == []


def test_the_figure_has_a_point_a_run_and_a_line_along_a_series(run, finished):
    figure = comparison_plot(compare_results([run("grpo"), run("ppo"), run("dpo")]))
    figure.draw_without_rendering()
    panel = figure.axes[0]
    intensity = finished.contrast["intensity"]
    assert panel.get_title(loc="left") == "Activation intensity"
    np.testing.assert_allclose(panel.lines[-1].get_ydata(), [intensity.difference] * 3)
    assert panel.lines[-1].get_linestyle() == "None"
    bars = [segment for collection in panel.collections for segment in collection.get_segments()]
    np.testing.assert_allclose([bar[:, 1] for bar in bars], [intensity.interval] * 3)
    series = comparison_plot(compare_results([run("step_20", tuned="m"), run("step_3", tuned="m")]))
    line = series.axes[0].lines[-1]
    assert line.get_linestyle() == "-" and list(line.get_xdata()) == [3.0, 20.0]
    titled = [axes for axes in figure.axes if axes.axison]
    assert len(titled) == len(finished.contrast.metrics)


def test_names_are_as_short_as_tells_them_apart():
    assert distinct_names(["/a/grpo", "/a/ppo/"]) == ["grpo", "ppo"]
    assert distinct_names(["/a/grpo/w", "/a/ppo/w"]) == ["grpo/w", "ppo/w"]
