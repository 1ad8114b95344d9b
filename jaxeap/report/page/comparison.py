"""The page of several finished runs side by side: a table, a plot by metric, and what differs between the runs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxeap.report.files import write_text
from jaxeap.report.page.panels import Panel
from jaxeap.report.page.render import render_template
from jaxeap.report.page.strip import common_limit, strip
from jaxeap.report.page.wording import bounds

SCRIPTS = ("page", "theme", "plots", "runs", "start")
EMPTY = dict.fromkeys(("base", "tuned", "difference", "relative_change", "interval", "p_value", "examples"))


def write_comparison_page(path: str | os.PathLike[str], comparison: Mapping[str, Any]) -> Path:
    """Writes the page, complete or not at all.

    Args:
        path: usually comparison.html.
        comparison: as `jaxeap.report.compare.RunComparison.to_json` gives it.
    """
    return write_text(path, render_comparison(comparison))


def render_comparison(comparison: Mapping[str, Any]) -> str:
    """The page as HTML; a run in which a metric has no value has dashes in its row and no point in the plot."""
    names = [run["name"] for run in comparison["runs"]]
    metrics = [_metric(name, rows, names) for name, rows in comparison["metrics"].items()]
    plotted = {
        "runs": names,
        "axis": comparison["axis"],
        "metrics": [
            {
                "title": metric["title"],
                "rows": [
                    {key: row[key] for key in ("base", "tuned", "difference")} | {"interval": bounds(row["interval"])}
                    for row in metric["rows"]
                ],
            }
            for metric in metrics
        ],
    }
    shown = [
        Panel(
            "runs", "Runs side by side", "Table",
            "For each metric a row a run: difference between the run's base and tuned, with its interval; coloured "
            "bars leave 0 out.",
            "That one interval leaves 0 out and another holds it does not mean that the two runs differ, nor do "
            "intervals that overlap mean that they do not: 'Beyond the first' answers that. Complexity is of a "
            "histogram whose range is each run's own, so that it can differ between runs even of the same base.",
            {"metrics": metrics, "besides": comparison["besides"], "cautions": comparison["cautions"]},
        ),
        _beyond_first(comparison),
        Panel(
            "by_metric", "Metric by metric", "Plot",
            "The difference in each run with its interval, filled where it leaves 0 out; along a series of checkpoints "
            "or values the points are joined.",
            "Runs of the same base share its noise: their points move together.",
            {"metrics": metrics}, {"runs": plotted},
        ),
        Panel(
            "models", "Which runs", "Models",
            "Models of each run, and every setting that is not the same in all of them.",
            "Runs that differ in more than the tuned model differ for more than one reason.",
            {"runs": comparison["runs"], "differing": comparison["differing"]},
        ),
    ]  # fmt: skip
    return render_template("comparison.html", shown, SCRIPTS, title="Runs side by side", runs=comparison["runs"])


def _beyond_first(comparison: Mapping[str, Any]) -> Panel:
    first, found = comparison["runs"][0]["name"], comparison["beyond_first"]
    by_metric: dict[str, dict[str, Any]] = {}
    for each in found:
        for row in each["rows"]:
            metric = by_metric.setdefault(row["metric"], {"title": row["title"], "rows": []})
            metric["rows"].append(row | {"run": each["run"]})
    for metric in by_metric.values():
        limit = common_limit((row["difference"], bounds(row["interval"])) for row in metric["rows"])
        metric["rows"] = [row | {"strip": strip(row["difference"], row["interval"], limit)} for row in metric["rows"]]
    return Panel(
        "beyond_first", "How much more each run changed than the first", "Beyond the first",
        f"Each row is the run's change (tuned − base) minus that of {first}, with an interval over questions: those "
        "that both runs have are drawn for both, so that what a question does to both cancels.",
        "Where the questions are not the same, part of a difference may lie in them: look at the common ones. And one "
        "run of a method is no evidence for the method.",
        {
            "first": first,
            "metrics": list(by_metric.values()),
            "missing": [f"{each['run']}: {each['missing']}" for each in found if each["missing"]],
        }
        if found else None,
        missing="The runs' changes were not held against each other.",
    )  # fmt: skip


def _metric(name: str, rows: list[Mapping[str, Any] | None], names: list[str]) -> dict[str, Any]:
    found = [EMPTY | dict(row or {}) for row in rows]
    limit = common_limit((row["difference"], bounds(row["interval"])) for row in found)
    return {
        "title": next((row["title"] for row in rows if row is not None), name),
        "rows": [
            row | {"run": run, "strip": strip(row["difference"], row["interval"], limit)}
            for row, run in zip(found, names, strict=True)
        ],
    }
