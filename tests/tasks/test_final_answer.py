import pytest

from jaxeap.tasks.final_answer import final_answer, last_boxed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \boxed{18}.", "18"),
        (r"\boxed{1} and then $\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"\boxed{\left\{ 1, 2 \right\}}", r"\left\{ 1, 2 \right\}"),
        (r"\fbox{3}", None),
        (r"\fboxed{3}", "3"),
        (r"\boxed 5.", "5"),
        (r"\boxed{7} but \boxed{8", "7"),
        (r"\boxed{}", ""),
        ("nothing", None),
    ],
)
def test_last_boxed(text, expected):
    assert last_boxed(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("6 + 12 = 18.\n#### 18\n", "18"),
        ("Step 1: ... The answer is: 42", "42"),
        ("The answer is 42 apples.\nAnswer: 43", "43"),
        (r"The answer is 7, that is \boxed{8}", "8"),
        (r"<think>\boxed{1}</think> It is \boxed{2}", "2"),
        (r"<think>\boxed{1}</think> It is two", None),
        ("just 18", None),
        ("", None),
    ],
)
def test_final_answer(text, expected):
    assert final_answer(text) == expected
