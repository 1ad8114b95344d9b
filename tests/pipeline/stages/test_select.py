"""What the stage says of the questions that are left."""

import io

import pytest
import rich.console

from jaxeap.pipeline.settings import restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages.respond import QUESTIONS
from jaxeap.pipeline.stages.select import SELECT, select, selection_of
from jaxeap.tasks.grading import Verdict, write_verdicts
from jaxeap.tasks.questions import Question, write_questions
from jaxeap.tasks.responses import Response, write_responses

LEVELS = ("easy", "easy", "hard", "")


@pytest.mark.parametrize("alpha, warned", [(0.25, True), (1.0, False)])
def test_levels_and_a_cut_of_one_token_are_told(config, tmp_path, alpha: float, warned: bool):
    answered, graded = tmp_path / "respond", tmp_path / "grade"
    answered.mkdir()
    graded.mkdir()
    ids = [f"q{place}" for place in range(len(LEVELS))]
    write_questions(
        answered / QUESTIONS, [Question(id_, "1+1=", "2", level) for id_, level in zip(ids, LEVELS, strict=True)]
    )
    for role in ("base", "tuned"):
        write_responses(answered / f"{role}.jsonl", [Response(id_, (2, 3), (4, 5, 6, 1), "2", True) for id_ in ids])
        write_verdicts(graded / f"{role}.jsonl", [Verdict(id_, id_ != "q1", "2") for id_ in ids])
    config.selection.alpha, config.selection.correctness = alpha, "both_right"
    output = io.StringIO()
    console = rich.console.Console(file=output, width=200)
    folder = tmp_path / "select"
    folder.mkdir()
    select(StageRun(restricted(config, SELECT.reads), folder, {"respond": answered, "grade": graded}, console))
    assert selection_of(folder).question_ids == ["q0", "q2", "q3"]
    said = output.getvalue()
    assert "by level: 1 easy, 1 hard, 1 without one" in said
    assert ("one token of an answer is little" in said) == warned
