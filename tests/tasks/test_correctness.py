"""The four correctness classes."""

import pytest

from jaxeap.tasks.correctness import CORRECTNESS_CLASSES, correctness_classes, count_classes
from jaxeap.tasks.grading import Verdict


def _verdicts(**correct):
    return [Verdict(id_, right, None) for id_, right in correct.items()]


def test_all_four_in_the_order_of_the_base_verdicts():
    base = _verdicts(d=False, a=True, c=True, b=False)
    tuned = _verdicts(a=True, b=False, c=False, d=True)
    classes = correctness_classes(base, tuned)
    assert list(classes.items()) == [
        ("d", "only_tuned_right"),
        ("a", "both_right"),
        ("c", "only_base_right"),
        ("b", "both_wrong"),
    ]
    assert set(classes.values()) == set(CORRECTNESS_CLASSES)


def test_counts_name_every_class():
    assert count_classes({"a": "both_right", "b": "both_right", "c": "both_wrong"}) == {
        "both_right": 2,
        "both_wrong": 1,
        "only_base_right": 0,
        "only_tuned_right": 0,
    }


def test_unpaired_and_repeated_questions_are_refused():
    with pytest.raises(ValueError, match=r"differ in 2 question.*'b' is in the tuned verdicts and not in the base"):
        correctness_classes(_verdicts(a=True), _verdicts(a=True, b=True, c=False))
    with pytest.raises(ValueError, match="'b' is in the base verdicts and not in the tuned verdicts"):
        correctness_classes(_verdicts(a=True, b=True), _verdicts(a=True))
    with pytest.raises(ValueError, match="base verdicts: question 'a' comes twice"):
        correctness_classes(_verdicts(a=True) * 2, _verdicts(a=True))
