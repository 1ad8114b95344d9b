"""Which questions are compared, and how much of their answers counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from jaxeap.pipeline.stage import Stage, StageRun
from jaxeap.pipeline.stages.grade import verdicts_of
from jaxeap.pipeline.stages.respond import questions_of, responses_of
from jaxeap.report.table import filter_table
from jaxeap.tasks.selection import Selection, SelectionOptions, read_selection, select_pairs, write_selection

SELECTION = "selection.json"


def selection_of(folder: Path) -> Selection:
    """The selection from the finished stage's folder."""
    return read_selection(folder / SELECTION)


def select(run: StageRun) -> None:
    """Writes selection.json, and prints what each filter removed."""
    answered, graded = run.inputs["respond"], run.inputs["grade"]
    selection = select_pairs(
        responses_of(answered, "base"),
        responses_of(answered, "tuned"),
        verdicts_of(graded, "base"),
        verdicts_of(graded, "tuned"),
        SelectionOptions(**run.config.selection),
    )
    write_selection(run.folder / SELECTION, selection)
    run.console.print(filter_table(selection.account))
    reference = f"reference length {selection.reference_length:.1f} tokens"
    run.say(f"{reference}, of each answer the first {selection.cut_length} count")
    if selection.cut_length == 1:
        run.say("one token of an answer is little to score; for short answers raise config.selection.alpha")
    chosen = set(selection.question_ids)
    levels = Counter(question.level for question in questions_of(answered) if question.id in chosen)
    if len(levels) > 1:  # What both models answer rightly are mostly the easy ones.
        run.say("by level: " + ", ".join(f"{count} {level or 'without one'}" for level, count in levels.most_common()))


SELECT = Stage(name="select", make=select, reads=("selection",), needs=("respond", "grade"))
