import pytest

from jaxeap.tasks.judgement import Judgement
from jaxeap.tasks.text_graders import boolean, choice, result, short


@pytest.mark.parametrize(
    ("answer", "text", "correct", "extracted"),
    [
        ("95", "7+8=15;3+5+1=9:95", True, "95"),
        ("95", "7+8=15;3+5=8:85", False, "85"),
        ("95", "95", False, None),
        ("95", "1:2: 95 ", True, "95"),
    ],
)
def test_result(answer, text, correct, extracted):
    assert result(answer, text) == Judgement(correct, extracted)


@pytest.mark.parametrize(
    ("answer", "text", "correct", "extracted"),
    [
        ("B", "B", True, "B"),
        ("B", "(b)", True, "B"),
        ("B", "The answer is (B).", True, "B"),
        ("B", "The answer is C, for it is not (B).", False, "C"),
        ("B", "Of (A) to (D) only one can be.\nIt is B: the moon.", True, "B"),
        ("B", r"so \boxed{\text{(B)}}", True, "B"),
        ("B", r"\boxed{D}", False, "D"),
        ("3", "The answer is (3)", True, "3"),
        ("B", "Because of that.", False, None),
        ("B", "", False, None),
        ("B", "<think>The answer is A</think>The answer is B", True, "B"),
    ],
)
def test_choice(answer, text, correct, extracted):
    assert choice(answer, text) == Judgement(correct, extracted)


@pytest.mark.parametrize(
    ("answer", "text", "correct", "extracted"),
    [
        ("yes", "Yes.", True, "yes"),
        ("yes", "That is true", True, "true"),
        ("no", "It is not true of all, so no.", True, "no"),
        ("no", "No doubt about it.\nThe answer is yes", False, "yes"),
        ("no", r"\boxed{\text{False}}", True, "false"),
        ("no", "nobody knows", False, None),
        ("no", "", False, None),
    ],
)
def test_boolean(answer, text, correct, extracted):
    assert boolean(answer, text) == Judgement(correct, extracted)


@pytest.mark.parametrize(
    ("answer", "text", "correct", "extracted"),
    [
        ("The Moon", "moon", True, "moon"),
        ("Luna | the moon", "Let me think.\nThe answer is the Moon!", True, "moon"),
        ("Luna", "moon", False, "moon"),
        ("Luna", " ", False, None),
    ],
)
def test_short(answer, text, correct, extracted):
    assert short(answer, text) == Judgement(correct, extracted)
