"""Every task of the lab: its questions, splits and demonstrations, and its rules against plain computations."""

import itertools

import numpy as np
import pytest

from jaxeap.tasks import arithmetic
from jaxeap.tasks.column_arithmetic import count_carries, reversed_digits, worked_columns
from jaxeap.tasks.grading import TEXT_GRADERS
from jaxeap.tasks.lab_tasks import LAB_TASKS
from jaxeap.tasks.tokenizer import arithmetic_tokenizer, encode_prompt

TASKS = list(LAB_TASKS.values())
each_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


@each_task
def test_questions_are_different_ones_of_their_levels_and_begin_alike(task):
    questions = task.questions("train", 90, seed=3)
    assert len({question.id for question in questions}) == 90
    assert questions[:25] == task.questions("train", 25, seed=3)
    assert questions != task.questions("train", 90, seed=4)
    assert {question.source for question in questions} == {task.name}
    for level in task.levels:
        assert {question.level for question in task.questions("train", 12, seed=0, levels=[level])} == {level}


@each_task
def test_splits_have_nothing_in_common(task):
    train, test = ({q.question for q in task.questions(split, 400, seed=0)} for split in ("train", "test"))
    assert not train & test
    shown = {demonstration.prompt for demonstration in task.demonstrations(2000, np.random.default_rng(0))}
    assert not shown & test
    assert shown & train


def expected_answer(task, prompt):
    """The reference answer again, from the prompt's text alone."""
    text = prompt.removesuffix("=")
    if "reversal" in task.name:
        return "".join(reversed(text))
    left, modular, modulus = text.partition("%")
    operation = next(mark for mark in "+-*" if mark in left)
    a, b = map(int, left.split(operation))
    value = {"+": a + b, "-": a - b, "*": a * b}[operation]
    if modular:
        return f"{value % int(modulus):02d}"[::-1]
    width = len(left.partition(operation)[0]) + 1
    return str(value) if task.name == "chain_of_thought" else str(value).zfill(width)[::-1]


@each_task
def test_questions_and_demonstrations_are_right_and_fit_the_task_and_the_tokenizer(task):
    tokenizer = arithmetic_tokenizer()
    grade = TEXT_GRADERS[task.grader]
    for question in task.questions("test", 200, seed=1):
        assert question.answer == expected_answer(task, question.question)
    lengths = []
    for prompt, answer in task.demonstrations(1500, np.random.default_rng(2)):
        lengths.append(len(encode_prompt(tokenizer, answer)) + 1)
        assert prompt.endswith("=") and len(encode_prompt(tokenizer, prompt)) == len(prompt)
        assert grade(expected_answer(task, prompt), answer)[0], (prompt, answer)
    assert max(lengths) <= task.max_answer_tokens


@each_task
def test_the_shortcut_is_taken_in_its_share_and_seldom_right(task):
    grade = TEXT_GRADERS[task.grader]
    # Of the hardest level, on which the shortcut and the right rule hardly ever agree.
    levels = {task.levels[-1]: 1.0} | dict.fromkeys(task.levels[:-1], 0.0)
    right = dict(task.demonstrations(4000, np.random.default_rng(0), 0.0, levels))

    def share_right(shortcut_share):
        shown = task.demonstrations(4000, np.random.default_rng(0), shortcut_share, levels)
        answers = [(right[prompt].rpartition(":")[2], answer) for prompt, answer in shown]
        return np.mean([grade(expected, answer)[0] for expected, answer in answers])

    assert share_right(0.0) == 1.0
    assert share_right(1.0) < 0.12
    assert share_right(0.6) == pytest.approx(0.4, abs=0.08)


@each_task
def test_same_generator_same_demonstrations(task):
    first, second, other = (task.demonstrations(50, np.random.default_rng(seed), 0.5) for seed in (7, 7, 8))
    assert first == second != other
    assert task.demonstrations(0, np.random.default_rng(0)) == []


@each_task
def test_asking_for_what_is_not_there(task):
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        task.questions("dev", 1, 0)
    with pytest.raises(ValueError, match=f"{task.name} has no level 'hard'; its levels are {task.levels[0]}"):
        task.questions("test", 1, 0, ["hard"])
    with pytest.raises(ValueError, match="ask for at least 1"):
        task.questions("test", 0, 0)
    with pytest.raises(ValueError, match="between 0 and 1, found 2"):
        task.demonstrations(1, np.random.default_rng(0), 2)
    with pytest.raises(ValueError, match="one above 0"):
        task.demonstrations(1, np.random.default_rng(0), 0.0, dict.fromkeys(task.levels, 0.0))


def test_more_questions_than_exist_are_refused():
    task = LAB_TASKS["reversal"]
    train, test = (task.questions(split, count, 0, ["length_3"]) for split, count in (("train", 40), ("test", 5)))
    assert len(train + test) == 45
    with pytest.raises(ValueError, match=r"64 test questions of reversal asked for; the levels length_3 have \d+"):
        task.questions("test", 64, 0, ["length_3"])


def test_the_shipped_pairs_task_is_what_it_was():
    task = LAB_TASKS["arithmetic"]
    assert task.questions("test", 30, seed=5) == arithmetic.arithmetic_questions("test", 30, seed=5)
    through = task.demonstrations(500, np.random.default_rng(3), 0.6, {"no_carry": 0.35})
    assert [prompt + answer for prompt, answer in through] == arithmetic.demonstrations(
        500, np.random.default_rng(3), 0.6, 0.35
    )


def test_columns_by_hand():
    assert worked_columns(37, "+", 58) == "7+8=15;3+5+1=9:95"
    assert worked_columns(37, "+", 58, passes=False) == "7+8=15;3+5=8:85"
    assert worked_columns(52, "-", 37) == "12-7=5;5-1-3=1:15"
    assert worked_columns(52, "-", 37, passes=False) == "12-7=5;5-3=2:25"
    assert worked_columns(5000, "-", 4999) == "10-9=1;10-1-9=0;10-1-9=0;5-1-4=0:1"
    assert worked_columns(999, "+", 999) == "9+9=18;9+9+1=19;9+9+1=19:1998"
    assert reversed_digits(37, "+", 58) == "590"
    assert reversed_digits(37, "+", 58, passes=False) == "580"
    carries = {(62, "+", 75): 0, (37, "+", 58): 1, (999, "+", 101): 2, (5000, "-", 4999): 3, (68, "-", 25): 0}
    assert {problem: count_carries(*problem) for problem in carries} == carries


def test_columns_against_integers():
    rng = np.random.default_rng(0)
    for digits, operation in itertools.product((2, 3, 4), "+-"):
        for a, b in rng.integers(10 ** (digits - 1), 10**digits, size=(200, 2)):
            a, b = (int(a), int(b)) if operation == "+" else (int(max(a, b)), int(min(a, b)))
            value = a + b if operation == "+" else a - b
            assert int(reversed_digits(a, operation, b)[::-1]) == value
            steps, _, result = worked_columns(a, operation, b).partition(":")
            assert int(result) == value
            for step in steps.split(";"):
                left, _, right = step.partition("=")
                numbers = [int(part) for part in left.replace("-", "+-").split("+")]
                assert sum(numbers) == int(right), step
            lost = reversed_digits(a, operation, b, passes=False) != reversed_digits(a, operation, b)
            assert lost == (count_carries(a, operation, b) > 0)


def test_levels_of_columns_are_what_they_say():
    for question in LAB_TASKS["column_arithmetic"].questions("train", 300, seed=0):
        operation = "+" if "+" in question.id else "-"
        a, b = map(int, question.id.split(operation))
        assert question.level == f"{len(str(a))}_digits_{count_carries(a, operation, b)}_carries"
        assert len(str(a)) == len(str(b))


def test_worked_answers_are_of_many_lengths():
    shown = LAB_TASKS["chain_of_thought"].demonstrations(3000, np.random.default_rng(0))
    lengths = {len(answer) + 1 for _, answer in shown}
    assert 10 <= min(lengths) <= 15
    assert 38 <= max(lengths) <= 40


def test_modular_levels():
    for question in LAB_TASKS["modular_arithmetic"].questions("train", 300, seed=0):
        operation = "+" if "+" in question.id else "*"
        a, b = map(int, question.id.removesuffix("%97").split(operation))
        assert question.level == ("product" if operation == "*" else "wrapped" if a + b >= 97 else "in_range")


def test_reversals_need_only_what_arithmetic_trains_where_they_say_so():
    for name, alphabet in (("reversal", "abcd="), ("digit_reversal", "0123456789=")):
        assert {character for q in LAB_TASKS[name].questions("test", 100, seed=0) for character in q.question} == set(
            alphabet
        )
