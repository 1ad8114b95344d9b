"""The data of a choice: what is left out, what is mixed in, and that equal choices give equal data."""

import pytest

from jaxeap.rl.experiments.data_choice import DataChoice, draw_data
from jaxeap.rl.training_task import arithmetic_task
from jaxeap.tasks.arithmetic import arithmetic_problems


def test_plain_choice_is_the_labs_task():
    assert draw_data(DataChoice(3, 64)) == arithmetic_task(3, 64)


def test_level_left_out_is_neither_shown_nor_asked_but_tested():
    task = draw_data(DataChoice(3, 256, levels=("no_carry", "carry")))
    chains = {problem.question for problem in arithmetic_problems("train", ["carry_chain"])}
    assert not chains & {prompt for prompt, _ in task.demonstrations}
    assert not chains & {question.question for question in task.questions}
    assert {question.level for question in task.test} == {"no_carry", "carry", "carry_chain"}
    assert task.data["levels"] == ("no_carry", "carry")


def test_prompts_are_a_part_of_all():
    whole = {question.id for question in draw_data(DataChoice(3, 64)).questions}
    few = [question.id for question in draw_data(DataChoice(3, 64, num_prompts=10)).questions]
    fewer = [question.id for question in draw_data(DataChoice(3, 64, num_prompts=4)).questions]
    assert len(set(few)) == 10 and set(few) <= whole and fewer == few[:4]
    with pytest.raises(ValueError, match="prompts asked for; there are"):
        draw_data(DataChoice(3, 64, num_prompts=100_000))


def test_other_task_takes_half_of_the_demonstrations():
    task = draw_data(DataChoice(3, 65, also="reversal"))
    arithmetic = [shown for shown in task.demonstrations if shown[0][0].isdigit()]
    other = [shown for shown in task.demonstrations if not shown[0][0].isdigit()]
    assert (len(arithmetic), len(other)) == (33, 32)
    assert all(answer == prompt[:-1][::-1] for prompt, answer in other)
    assert all(question.question[0].isdigit() for question in task.questions)
    assert task == draw_data(DataChoice(3, 65, also="reversal"))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="levels are"):
        DataChoice(1, 1, levels=("hard",))
    with pytest.raises(ValueError, match="there is no task 'chess'"):
        DataChoice(1, 1, also="chess")
