"""Grading by hand cases."""

import pytest

from jaxeap.tasks.grading import Verdict, grade, grade_responses, read_verdicts, write_verdicts
from jaxeap.tasks.questions import Question
from jaxeap.tasks.responses import Response

QUESTION = Question("37+58", "37+58=", "590")


def _response(text, finished=True, question_id="37+58"):
    return Response(question_id, (5, 9), (7, 1), text, finished)


@pytest.mark.parametrize(
    ("text", "finished", "correct", "extracted"),
    [
        ("590", True, True, "590"),
        (" 590\n", True, True, "590"),
        ("590", False, False, "590"),
        ("580", True, False, "580"),
        ("0590", True, False, "0590"),
        ("59", True, False, "59"),
        ("5 90", True, False, "5 90"),
        ("", True, False, ""),
    ],
)
def test_exact(text, finished, correct, extracted):
    note = "" if finished else "unfinished"
    assert grade(QUESTION, _response(text, finished)) == Verdict("37+58", correct, extracted, note)


def test_exact_ignores_white_space_around_the_reference_too():
    assert grade(Question("37+58", "37+58=", " 590 "), _response("590")).correct


def test_an_unknown_grader_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="unknown grader 'exakt'; known graders: boolean, choice, exact, math"):
        grade(QUESTION, _response("590"), grader="exakt")


def test_another_question_is_refused():
    with pytest.raises(ValueError, match="to question '1', not to '37\\+58'"):
        grade(QUESTION, _response("590", question_id="1"))


def test_responses_meet_their_questions_in_any_order():
    questions = [QUESTION, Question("1", "?", "a"), Question("unasked", "?", "b")]
    responses = [_response("a", question_id="1"), _response("580"), _response("590")]
    assert [(v.question_id, v.correct) for v in grade_responses(questions, responses)] == [
        ("1", True),
        ("37+58", False),
        ("37+58", True),
    ]
    with pytest.raises(ValueError, match=r"1 of 2 responses are to unknown questions \(first: '9'\)"):
        grade_responses(questions, [_response("590"), _response("590", question_id="9")])


def test_mathematics_is_graded_by_value_in_the_order_of_the_responses():
    pytest.importorskip("math_verify")
    questions = [Question("a", "?", "\\frac{1}{2}"), Question("b", "?", "7")]
    responses = [_response(r"\boxed{8}", question_id="b"), _response("#### 0.5", question_id="a")]
    done = []
    verdicts = grade_responses(questions, responses, "math", workers=1, advance=done.append)
    assert verdicts == [Verdict("b", False, "8"), Verdict("a", True, "0.5")]
    assert sum(done) == 2


def test_round_trip(tmp_path):
    verdicts = [Verdict("a", True, "590"), Verdict("b", False, None, "time limit")]
    write_verdicts(tmp_path / "v.jsonl", verdicts)
    assert read_verdicts(tmp_path / "v.jsonl") == verdicts
