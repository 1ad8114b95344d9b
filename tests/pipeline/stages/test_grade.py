from jaxeap.pipeline.settings import default_config, restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages.grade import GRADE, grade, summary_of, verdicts_of
from jaxeap.tasks.questions import Question, write_questions
from jaxeap.tasks.responses import Response, write_responses


def test_summary_counts_by_hand(console, tmp_path):
    answered = tmp_path / "respond"
    write_questions(answered / "questions.jsonl", [Question(str(n), "?", str(n)) for n in range(4)])
    for role, texts in {"base": "01xx", "tuned": "0x2x"}.items():
        responses = [Response(str(n), (2,), (3,), text, True) for n, text in enumerate(texts)]
        write_responses(answered / f"{role}.jsonl", responses)
    run = StageRun(restricted(default_config(), GRADE.reads), tmp_path / "grade", {"respond": answered}, console)
    grade(run)
    assert summary_of(run.folder) == {
        "questions": 4,
        "accuracy": {"base": 0.5, "tuned": 0.5},
        "classes": {"both_right": 1, "both_wrong": 1, "only_base_right": 1, "only_tuned_right": 1},
    }
    assert [verdict.correct for verdict in verdicts_of(run.folder, "tuned")] == [True, False, True, False]
    assert "base 50.0%, tuned 50.0% of 4; 1 both right" in console.file.getvalue()
