"""`run.py --compare`: reads finished work directories and writes what they found side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rich.console

from jaxeap.metrics.change_difference import RunStatistics, change_differences
from jaxeap.pipeline.runner import CONFIG
from jaxeap.pipeline.settings import within
from jaxeap.pipeline.stage import read_manifest
from jaxeap.pipeline.stages import STAGES
from jaxeap.pipeline.stages.contrast import contrast_of
from jaxeap.pipeline.stages.run_statistics import run_statistics
from jaxeap.pipeline.stages.select import selection_of
from jaxeap.pipeline.storage.artifacts import read_json, write_json
from jaxeap.pipeline.storage.workdir import MARKER
from jaxeap.report.compare import (
    BeyondFirst,
    RunComparison,
    RunResult,
    beyond_first_table,
    compare_results,
    comparison_cells,
    comparison_markdown,
    comparison_plot,
    comparison_table,
    incomparable,
)
from jaxeap.report.compare.runs import distinct_names
from jaxeap.report.compare.table import TITLE
from jaxeap.report.files import write_figure, write_markdown_text
from jaxeap.report.latex import write_latex
from jaxeap.report.page import write_comparison_page

FOLDER = "compare"
RESULT, TABLE, TABLE_TEX, PLOT, PAGE = "compare.json", "table.md", "table.tex", "compare", "compare.html"
DECISIVE = ("respond", "grade", "select", "attribute", "contrast")
"""Stages whose settings the metrics depend on."""
BESIDE = ("controls", "contrast.breakdowns", "contrast.edges", "contrast.memory", "contrast.half_width")
"""Settings of these stages that the metrics do not depend on."""


def compare_runs(
    workdirs: Sequence[str], target: str | os.PathLike[str] | None, console: rich.console.Console
) -> RunComparison:
    """Compares finished runs, prints the table, and writes it with a figure, a page and the numbers.

    Args:
      workdirs: of the runs.
      target: folder for the results; None takes `compare` beside the first run.
      console: for the table.

    Raises:
      FileNotFoundError: a folder is not there.
      ValueError: fewer than two runs, one that is not finished, or a target that holds something else.
    """
    if len(workdirs) < 2:
        raise ValueError(
            f"--compare needs the work directories of at least two finished runs, got {len(workdirs)}; for example:\n"
            "  python run.py --compare workdirs/grpo workdirs/dpo"
        )
    names = distinct_names([str(Path(workdir).resolve()) for workdir in workdirs])
    runs = [read_run(Path(workdir), name) for workdir, name in zip(workdirs, names, strict=True)]
    found = compare_results(runs)
    folder = Path(target) if target else Path(workdirs[0]).resolve().parent / FOLDER
    _require_free(folder, found)
    with console.status("comparing the runs' changes"):
        found = compare_results(runs, beyond_first(runs))
    write_json(folder / RESULT, found.to_json())
    write_markdown_text(folder / TABLE, comparison_markdown(found))
    notes = [f"{warning}." for warning in found.warnings]
    write_latex(folder / TABLE_TEX, comparison_cells(found), f"{TITLE}.", "tab:jaxeap-runs", notes)
    write_figure(folder, PLOT, comparison_plot(found))
    write_comparison_page(folder / PAGE, found.to_json())
    console.print(comparison_table(found))
    console.print(beyond_first_table(found))
    console.print(f"written to {folder}", markup=False, highlight=False, soft_wrap=True)
    return found


def read_run(workdir: Path, name: str) -> RunResult:
    """What a finished run found.

    Raises:
      FileNotFoundError: there is no such folder.
      ValueError: it is no work directory, or its run has not come to its end.
    """
    if workdir.is_file():
        raise ValueError(f"{workdir} is a file; give the work directory of a finished run")
    if not workdir.is_dir():
        raise FileNotFoundError(f"{workdir}: no such work directory")
    if not (workdir / MARKER).is_file() or not (workdir / CONFIG).is_file():
        raise ValueError(f"{workdir} is not a work directory of run.py, or its run has not begun")
    settings: dict[str, Any] = {}
    for stage in STAGES:
        manifest = read_manifest(workdir / stage.name)
        needed = stage.name in DECISIVE or (workdir / stage.name).is_dir()  # An older run may lack newer stages.
        if needed and (manifest is None or not manifest.complete):
            raise ValueError(f"the run in {workdir} is not finished (stage {stage.name}); run it to its end first")
        if manifest is not None and stage.name in DECISIVE:
            settings |= {key: value for key, value in manifest.settings.items() if not within(key, BESIDE)}
            settings[f"version of {stage.name}"] = manifest.version
    config = read_json(workdir / CONFIG)
    return RunResult(
        name=name,
        folder=str(workdir.resolve()),
        base=str(config["base"]),
        tuned=str(config["tuned"]),
        settings=settings,
        contrast=contrast_of(workdir / "contrast"),
        questions=tuple(selection_of(workdir / "select").question_ids),
    )


def beyond_first(runs: Sequence[RunResult]) -> list[BeyondFirst]:
    """How much more each run changed in the headline metrics than the first, from the scores in their folders."""
    first, *others = runs
    judged = first.contrast
    reference = None
    found = []
    for run in others:
        if differing := incomparable(first, run):
            named = ", ".join(differing)
            found.append(BeyondFirst(run.name, (), f"not held against {first.name}, for the runs differ in {named}"))
            continue
        reference = reference or _statistics(first)
        rows = change_differences(reference, _statistics(run), judged.resamples, judged.seed, judged.confidence)
        found.append(BeyondFirst(run.name, tuple(rows)))
    return found


def _statistics(run: RunResult) -> RunStatistics:
    return run_statistics(Path(run.folder) / "attribute", run.questions, run.contrast.options)


def _require_free(folder: Path, comparison: RunComparison) -> None:
    """Refuses a folder that holds anything but an earlier comparison of the same runs."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; give --workdir=FOLDER")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / RESULT).is_file():
        raise ValueError(f"{folder} holds something else than a comparison; give --workdir=FOLDER")
    before = [run["folder"] for run in read_json(folder / RESULT)["runs"]]
    if sorted(before) != sorted(run.folder for run in comparison.runs):
        raise ValueError(f"{folder} holds a comparison of other runs ({', '.join(before)}); give --workdir=FOLDER")
