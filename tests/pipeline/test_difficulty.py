import numpy as np

from jaxeap.pipeline.difficulty import BY_NUMBER, BY_OTHER_MODEL, difficulties
from jaxeap.tasks.questions import Question


def asked(*levels: str) -> list[Question]:
    return [Question(f"q{number}", "1+1=", "2", level) for number, level in enumerate(levels)]


def test_a_number_in_every_level_is_taken():
    values, kind = difficulties(asked("Level 3", "Level 1", "", "Level 12"), {})
    np.testing.assert_array_equal(values, [3, 1, np.nan, 12])
    assert kind == BY_NUMBER


def test_other_levels_are_as_hard_as_the_other_model_finds_them():
    questions = asked("easy", "carry", "easy", "carry", "carry", "easy", "")
    right = dict(zip((q.id for q in questions), (True, False, True, True, False, False, False), strict=True))
    values, kind = difficulties(questions, right)
    np.testing.assert_allclose(values, [1 / 3, 2 / 3, 1 / 3, 2 / 3, 2 / 3, 1 / 3, np.nan])
    assert kind == BY_OTHER_MODEL


def test_one_level_without_a_number_makes_all_go_by_the_other_model():
    values, kind = difficulties(asked("1", "expert"), {"q0": True, "q1": False})
    np.testing.assert_array_equal(values, [0, 1])
    assert kind == BY_OTHER_MODEL


def test_no_levels_no_difficulty():
    values, kind = difficulties(asked("", ""), {})
    assert np.isnan(values).all() and kind is None
