"""What a run says at its end: the table, where the files are, and how long each stage took."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import rich.console

from jaxeap.pipeline.null_pair import FOLDER as NULL_PAIR
from jaxeap.pipeline.runner import StageOutcome
from jaxeap.pipeline.stages.audit import audit_of
from jaxeap.pipeline.stages.contrast import contrast_of
from jaxeap.pipeline.stages.controls import controls_of
from jaxeap.report.audit_notes import audit_notes
from jaxeap.report.controls_table import VERDICTS, control_notes, two_by_two_table, verdict_lines
from jaxeap.report.table import contrast_table

RESULTS = {
    "report.html": "everything on one page, for the browser",
    "metrics.json": "every number of the table, and more",
    "table.md": "the table as Markdown, with every control under it",
    "controls/controls.json": "the controls and verdicts",
    "audit/audit.json": "scores against exact effects",
    "table.tex": "the table for LaTeX",
    "weights.md": "what changed in the weights",
    "circuits/circuits.json": "the two circuits, and what differs between them",
    "exports": "edges (CSV) and circuits (EAP-IG's JSON, GraphML) for other tools",
    "report/figures": "the figures",
    "attribute": "edge scores (safetensors) and losses",
    "respond": "questions and answers (JSON lines)",
}


def print_summary(
    workdir: str | os.PathLike[str], outcomes: Sequence[StageOutcome], console: rich.console.Console
) -> None:
    """Prints the contrast of a finished run, its files and its times."""
    workdir = Path(workdir)
    console.print()
    console.print(contrast_table(contrast_of(workdir / "contrast")))
    for note in audit_notes(audit_of(workdir / "audit")):
        console.print(note, markup=False, highlight=False)
    controls = controls_of(workdir / "controls")
    console.print()
    if (two_by_two := two_by_two_table(controls)) is not None:
        console.print(two_by_two)
    for note in control_notes(controls):
        console.print(note, markup=False, highlight=False)
    console.print()
    console.print(VERDICTS, style="bold", markup=False, highlight=False)
    for line in verdict_lines(controls):
        console.print(line, markup=False, highlight=False)
    console.print()
    lines = [f"{workdir / name}: {what}" for name, what in RESULTS.items() if (workdir / name).exists()]
    times = [f"{outcome.stage} {_spent(outcome)}" for outcome in outcomes]
    apart = "the null pair's run and start-up" if _with_null_pair(workdir, controls) else "start-up"
    lines += ["", f"{sum(outcome.seconds for outcome in outcomes):.1f} s, without {apart}: {', '.join(times)}"]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _with_null_pair(workdir: Path, controls: Mapping[str, Any]) -> bool:
    """Whether a null pair was run here, rather than named as a finished run or left out."""
    return controls["null_pair"] is not None and (workdir / NULL_PAIR).is_dir()


def _spent(outcome: StageOutcome) -> str:
    return "reused" if outcome.status == "reused" else f"{outcome.seconds:.1f} s"
