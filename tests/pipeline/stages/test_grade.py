import pytest

from jaxeap.pipeline.settings import default_config, restricted
from jaxeap.pipeline.stage import StageRun
from jaxeap.pipeline.stages.grade import GRADE, grade, summary_of, verdicts_of
from jaxeap.tasks.grading import Verdict, read_verdicts, write_verdicts
from jaxeap.tasks.questions import Question, write_questions
from jaxeap.tasks.responses import Response, write_responses


def test_summary_counts_by_hand(console, tmp_path):
    answered = tmp_path / "respond"
    write_questions(answered / "questions.jsonl", [Question(str(n), "?", str(n)) for n in range(4)])
    for role, texts in {"base": "01xx", "tuned": "0x2x"}.items():
        responses = [Response(str(n), (2,), (3,), text, True) for n, text in enumerate(texts)]
        write_responses(answered / f"{role}.jsonl", responses)
    run = StageRun(
        restricted(default_config(), (*GRADE.reads, *GRADE.tuning)), tmp_path / "grade", {"respond": answered}, console
    )
    grade(run)
    assert summary_of(run.folder) == {
        "questions": 4,
        "accuracy": {"base": 0.5, "tuned": 0.5},
        "classes": {"both_right": 1, "both_wrong": 1, "only_base_right": 1, "only_tuned_right": 1},
    }
    assert [verdict.correct for verdict in verdicts_of(run.folder, "tuned")] == [True, False, True, False]
    assert "base 50.0%, tuned 50.0% of 4; 1 both right" in console.file.getvalue()


def test_all_samples_are_graded_for_the_pass_rate_and_the_first_for_the_accuracy(console, tmp_path):
    answered = tmp_path / "respond"
    write_questions(answered / "questions.jsonl", [Question(str(n), "?", str(n)) for n in range(4)])
    texts = {"base": "01xx", "base_sample1": "0123", "tuned": "xxxx", "tuned_sample1": "xxx3"}
    for name, answers in texts.items():
        responses = [Response(str(n), (2,), (3,), text, True) for n, text in enumerate(answers)]
        write_responses(answered / f"{name}.jsonl", responses)
    run = StageRun(
        restricted(default_config(), (*GRADE.reads, *GRADE.tuning)), tmp_path / "grade", {"respond": answered}, console
    )
    grade(run)
    summary = summary_of(run.folder)
    assert (summary["accuracy"], summary["samples"]) == ({"base": 0.5, "tuned": 0.0}, 2)
    assert summary["pass_rate"] == {"base": 0.75, "tuned": 0.125}
    assert [verdict.correct for verdict in read_verdicts(run.folder / "tuned_sample1.jsonl")] == [*3 * [False], True]
    assert "pass rate over 2 answers a question: base 75.0%, tuned 12.5%" in console.file.getvalue()


def test_recorded_grades_are_taken_as_they_are_and_asked_for_where_there_are_none(console, tmp_path):
    answered = tmp_path / "respond"
    write_questions(answered / "questions.jsonl", [Question("a", "?", "1"), Question("b", "?", "2")])
    for role in ("base", "tuned"):
        write_responses(answered / f"{role}.jsonl", [Response(i, (2,), (3,), "x", False) for i in "ab"])
    config = default_config()
    config.grader = "recorded"
    run = StageRun(
        restricted(config, (*GRADE.reads, *GRADE.tuning)), tmp_path / "grade", {"respond": answered}, console
    )
    with pytest.raises(ValueError, match=r"have no base scores; set config\.grader"):
        grade(run)
    recorded = {"base": [True, False], "tuned": [True, True]}
    for role, right in recorded.items():
        verdicts = [Verdict(id_, correct, None, "recorded") for id_, correct in zip("ab", right, strict=True)]
        write_verdicts(answered / f"{role}_recorded.jsonl", verdicts)
    grade(run)
    assert summary_of(run.folder)["accuracy"] == {"base": 0.5, "tuned": 1.0}
    assert verdicts_of(run.folder, "base") == [
        Verdict("a", True, None, "recorded"),
        Verdict("b", False, None, "recorded"),
    ]


def test_answers_that_are_wrong_for_another_reason_than_their_text_are_counted(console, tmp_path):
    answered = tmp_path / "respond"
    write_questions(answered / "questions.jsonl", [Question("a", "?", "1")])
    for role in ("base", "tuned"):
        write_responses(answered / f"{role}.jsonl", [Response("a", (2,), (3,), "1", role == "base")])
    run = StageRun(
        restricted(default_config(), (*GRADE.reads, *GRADE.tuning)), tmp_path / "grade", {"respond": answered}, console
    )
    grade(run)
    assert "tuned: wrong whatever their text: 1 unfinished" in console.file.getvalue()
    assert "base: wrong whatever" not in console.file.getvalue()
