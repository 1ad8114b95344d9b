"""Pairs of answers, by hand."""

import numpy as np
import pytest

from jaxeap.rl.graded import GradedAnswers
from jaxeap.rl.preferences import Preferences, pair_answers

RIGHT, ALSO, WRONG, WORSE = [5, 1], [5, 5, 1], [6, 1], [7, 7, 7]


def pair(rewards: list[list[float]], answers: list[list[list[int]]], pairs_each: int = 4) -> Preferences:
    graded = GradedAnswers([[3], [8, 9]][: len(rewards)], answers, np.array(rewards, np.float32))
    return pair_answers(graded, pairs_each=pairs_each, prompt_length=2, answer_length=3, rng=np.random.default_rng(0))


def rows(pairs: Preferences) -> list[tuple[list[int], list[int], list[int]]]:
    both = (pairs.chosen, pairs.rejected)
    for answered in both:
        np.testing.assert_array_equal(answered.prompts, pairs.chosen.prompts)
    return [
        (
            pairs.chosen.prompts[row, : pairs.chosen.prompt_lengths[row]].tolist(),
            *(answered.answers[row][answered.mask[row]].tolist() for answered in both),
        )
        for row in range(len(pairs))
    ]


def test_right_answers_are_paired_with_wrong_ones_as_far_as_there_are_both() -> None:
    answers = [[RIGHT, WRONG, RIGHT, RIGHT], [WRONG, WRONG, WORSE, RIGHT]]
    pairs = pair([[1, 0, 1, 1], [0, 0, 0, 1]], answers)
    first, second = rows(pairs)
    assert first == ([3], RIGHT, WRONG)
    assert second[:2] == ([8, 9], RIGHT) and second[2] in (WRONG, WORSE)


def test_pairs_of_a_prompt_use_each_answer_once_and_have_a_limit() -> None:
    answers, rewards = [[RIGHT, ALSO, WRONG, WORSE]], [[1.0, 1.0, 0.0, 0.0]]
    pairs = rows(pair(rewards, answers))
    assert sorted(chosen for _, chosen, _ in pairs) == sorted([RIGHT, ALSO])
    assert sorted(rejected for _, _, rejected in pairs) == sorted([WRONG, WORSE])
    assert len(rows(pair(rewards, answers, pairs_each=1))) == 1


def test_the_best_is_paired_with_the_worst() -> None:
    pairs = rows(pair([[0.2, 0.9, -1.0, 0.5]], [[RIGHT, ALSO, WRONG, WORSE]]))
    assert pairs == [([3], ALSO, WRONG), ([3], WORSE, RIGHT)]


def test_answers_of_equal_worth_give_no_pair() -> None:
    with pytest.raises(ValueError, match="none of 2 prompts"):
        pair([[1, 1], [0, 0]], [[RIGHT, ALSO], [WRONG, WORSE]])
