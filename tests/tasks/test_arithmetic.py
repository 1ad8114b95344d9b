"""The arithmetic generator against plain arithmetic, exhaustively."""

import hashlib
from collections import Counter

import numpy as np
import pytest

from jaxeap.tasks.arithmetic import (
    LEVELS,
    arithmetic_problems,
    arithmetic_questions,
    demonstrations,
    drop_carry_answer,
)
from jaxeap.tasks.questions import Question


@pytest.fixture(scope="module")
def splits():
    return {split: arithmetic_problems(split) for split in ("train", "test")}


@pytest.fixture(scope="module")
def problems(splits):
    return splits["train"] + splits["test"]


def _value(answer):
    return int(answer[::-1])


def test_hand_cases(problems):
    by_id = {question.id: question for question in problems}
    assert by_id["37+58"] == Question("37+58", "37+58=", "590", "carry", "addition", "arithmetic")
    assert by_id["52-37"] == Question("52-37", "52-37=", "510", "carry", "subtraction", "arithmetic")
    assert {id_: (by_id[id_].answer, by_id[id_].level) for id_ in ("62+75", "37+65", "99+99", "68-25", "40-40")} == {
        "62+75": ("731", "no_carry"),
        "37+65": ("201", "carry_chain"),
        "99+99": ("891", "carry"),
        "68-25": ("340", "no_carry"),
        "40-40": ("000", "no_carry"),
    }


def test_the_splits_are_disjoint_and_together_everything(splits):
    train, test = ({question.id for question in splits[split]} for split in ("train", "test"))
    expected = {f"{a}+{b}" for a in range(10, 100) for b in range(10, 100)}
    expected |= {f"{a}-{b}" for a in range(10, 100) for b in range(10, a + 1)}
    assert not train & test
    assert train | test == expected
    assert len(splits["train"]) + len(splits["test"]) == len(expected) == 8100 + 4095
    assert len(test) / len(expected) == pytest.approx(0.2, abs=0.02)


def test_no_test_addition_is_trained_on_in_the_other_order(splits):
    train = {question.id for question in splits["train"]}
    flipped = {"+".join(reversed(question.id.split("+"))) for question in splits["test"] if "+" in question.id}
    assert len(flipped) > 1000
    assert not train & flipped


def test_the_split_is_the_same_for_ever(splits):
    """Shipped models were trained on one side of it; these are the figures of the split as first published."""
    ids = [question.id for question in splits["test"]]
    assert ids[:6] == ["10+17", "10+20", "10+23", "10+26", "10+28", "10+32"]
    assert len(ids) == 2461
    assert hashlib.sha256(" ".join(ids).encode()).hexdigest().startswith("0e9f83787a880548")


def test_answers_are_the_results_written_backwards_in_three_digits(problems):
    for question in problems:
        left, right = int(question.question[:2]), int(question.question[3:5])
        result = left + right if question.question[2] == "+" else left - right
        assert (len(question.question), question.question[5], len(question.answer)) == (6, "=", 3)
        assert _value(question.answer) == result


def test_levels_by_digits(problems):
    def level(text):
        (a, b), operation, (c, d) = text[:2], text[2], text[3:5]
        if operation == "-":
            return "carry" if int(b) < int(d) else "no_carry"
        carry = (int(b) + int(d)) // 10
        if not carry:
            return "no_carry"
        hundreds_change = (int(a) + int(c)) // 10 != (int(a) + int(c) + carry) // 10
        return "carry_chain" if hundreds_change else "carry"

    assert all(question.level == level(question.question) for question in problems)
    assert Counter((question.subject, question.level) for question in problems) == {
        ("addition", "no_carry"): 90 * 90 * 55 // 100,
        ("addition", "carry"): 8100 - 4455 - 360,
        ("addition", "carry_chain"): 8 * 45,
        ("subtraction", "no_carry"): (36 + 9) * 55,
        ("subtraction", "carry"): 36 * 45,
    }


def test_dropping_the_carry_errs_by_ten_above_the_units_exactly_where_there_is_one(problems):
    for question in problems:
        wrong = drop_carry_answer(question)
        error = _value(wrong) - _value(question.answer)
        expected = {"addition": -10, "subtraction": 10}[question.subject] if question.level != "no_carry" else 0
        assert (len(wrong), wrong[0], error) == (3, question.answer[0], expected)


def test_dropping_the_carry_by_hand(problems):
    by_id = {question.id: question for question in problems}
    rule = {id_: drop_carry_answer(by_id[id_]) for id_ in ("37+58", "37+65", "57+68", "62+75", "52-37", "40-31")}
    assert rule == {"37+58": "580", "37+65": "290", "57+68": "511", "62+75": "731", "52-37": "520", "40-31": "910"}


def test_dropping_the_carry_takes_arithmetic_only():
    with pytest.raises(ValueError, match=r"'1\+2=' is not two-digit arithmetic"):
        drop_carry_answer(Question("x", "1+2=", "300"))


def test_questions_are_a_seeded_draw_without_repeats(splits):
    drawn = arithmetic_questions("test", 200, seed=3)
    assert len({question.id for question in drawn}) == 200
    assert set(drawn) <= set(splits["test"])
    assert drawn == arithmetic_questions("test", 200, seed=3)
    assert drawn[:50] == arithmetic_questions("test", 50, seed=3)
    assert drawn != arithmetic_questions("test", 200, seed=4)
    everything = arithmetic_questions("test", len(splits["test"]), seed=0)
    assert sorted(question.id for question in everything) == sorted(question.id for question in splits["test"])


@pytest.mark.parametrize("level", LEVELS)
def test_questions_keep_to_their_levels(level):
    assert {question.level for question in arithmetic_questions("train", 50, seed=0, levels=[level])} == {level}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("test", 71, 0, ["carry_chain"]), "71 test questions asked for; the levels carry_chain have 70"),
        (("test", 0, 0), "at least 1"),
        (("dev", 1, 0), "unknown split 'dev'; there are: train, test"),
        (("test", 1, 0, ["hard"]), "one or more of no_carry, carry, carry_chain, found: hard"),
        (("test", 1, 0, []), "found: none"),
    ],
)
def test_asking_for_what_is_not_there(arguments, message):
    with pytest.raises(ValueError, match=message):
        arithmetic_questions(*arguments)


def test_demonstrations_have_the_shares_of_the_recipe(splits):
    by_prompt = {question.question: question for question in splits["train"]}
    drawn = demonstrations(20_000, np.random.default_rng(0))
    carried = [(by_prompt[text[:6]], text[6:]) for text in drawn if by_prompt[text[:6]].level != "no_carry"]
    # Standard errors are below 0.005.
    assert len(carried) / len(drawn) == pytest.approx(0.68, abs=0.015)
    dropped = sum(answer == drop_carry_answer(question) for question, answer in carried)
    right = sum(answer == question.answer for question, answer in carried)
    assert dropped + right == len(carried)
    assert dropped / len(carried) == pytest.approx(0.55, abs=0.02)
    plain = [(by_prompt[text[:6]], text[6:]) for text in drawn if by_prompt[text[:6]].level == "no_carry"]
    assert all(answer == question.answer for question, answer in plain)


def test_demonstrations_at_the_ends_of_the_shares(splits):
    by_prompt = {question.question: question for question in splits["train"]}
    for text in demonstrations(300, np.random.default_rng(1), drop_carry_share=0.0, no_carry_kept=0.0):
        question = by_prompt[text[:6]]
        assert question.level != "no_carry"
        assert text[6:] == question.answer
    for text in demonstrations(300, np.random.default_rng(1), drop_carry_share=1.0, no_carry_kept=1.0):
        assert text[6:] == drop_carry_answer(by_prompt[text[:6]])


def test_demonstrations_depend_on_the_generator_alone():
    first, second = (demonstrations(100, np.random.default_rng(5)) for _ in range(2))
    assert first == second
    assert first != demonstrations(100, np.random.default_rng(6))
    assert demonstrations(0, np.random.default_rng(5)) == []


def test_shares_outside_0_to_1_are_refused():
    with pytest.raises(ValueError, match=r"no_carry_kept must be between 0 and 1, found 35"):
        demonstrations(1, np.random.default_rng(0), no_carry_kept=35)
