import numpy as np

from jaxeap.pipeline.inputs.difficulty import BY_ERRORS, BY_NUMBER, difficulties
from jaxeap.tasks.questions import Question


def asked(*levels: str) -> list[Question]:
    return [Question(f"q{number}", "1+1=", "2", level) for number, level in enumerate(levels)]


def test_a_number_in_every_level_is_taken():
    values, kind = difficulties(asked("Level 3", "Level 1", "", "Level 12"), [])
    np.testing.assert_array_equal(values, [3, 1, np.nan, 12])
    assert kind == BY_NUMBER


def test_other_levels_are_as_hard_as_the_models_find_them():
    questions = asked("easy", "carry", "easy", "carry", "carry", "easy", "")
    ids = [question.id for question in questions]
    base = dict(zip(ids, (True, False, True, True, False, False, False), strict=True))
    tuned = dict(zip(ids, (True, True, True, True, True, False, True), strict=True))
    values, kind = difficulties(questions, [base, tuned])
    np.testing.assert_allclose(values, [2 / 6, 2 / 6, 2 / 6, 2 / 6, 2 / 6, 2 / 6, np.nan])
    values, kind = difficulties(questions, [base])
    np.testing.assert_allclose(values, [1 / 3, 2 / 3, 1 / 3, 2 / 3, 2 / 3, 1 / 3, np.nan])
    assert kind == BY_ERRORS


def test_one_level_without_a_number_makes_all_go_by_errors():
    values, kind = difficulties(asked("1", "expert"), [{"q0": True, "q1": False}])
    np.testing.assert_array_equal(values, [0, 1])
    assert kind == BY_ERRORS


def test_no_levels_no_difficulty():
    values, kind = difficulties(asked("", ""), [])
    assert np.isnan(values).all() and kind is None
