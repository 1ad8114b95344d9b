"""Drawn and graded answers: whose they are, and that drawing in parts changes nothing."""

import numpy as np
import pytest

from jaxeap.models.model import Decoder
from jaxeap.rl import graded as graded_module
from jaxeap.rl.graded import GradedAnswers, draw_graded

PROMPTS = [[3 + place] * (1 + place % 3) for place in range(9)]
OPTIONS = dict(num_prompts=7, answers_each=4, max_new_tokens=3, stop_tokens=(1, 2, 3, 4), temperature=1.0, seed=(0, 1))


def worth(prompts: list[int], answers: list[list[int]]) -> list[float]:
    """Tells both arguments."""
    return [100.0 * prompt + sum(answer) for prompt, answer in zip(prompts, answers, strict=True)]


def draw(model: Decoder, **changes) -> GradedAnswers:
    return draw_graded(model.weights, model.config, PROMPTS, worth, **(OPTIONS | changes))


def test_rewards_belong_to_their_prompts_and_answers(model: Decoder) -> None:
    graded = draw(model)
    assert len(graded.prompts) == 7 and len({tuple(prompt) for prompt in graded.prompts}) == 7
    for prompt, answers, rewards in zip(graded.prompts, graded.answers, graded.rewards, strict=True):
        assert rewards.tolist() == [100.0 * PROMPTS.index(prompt) + sum(answer) for answer in answers]
    lengths = {len(answer) for answers in graded.answers for answer in answers}
    assert lengths == {1, 2, 3}


def test_the_seed_decides(model: Decoder) -> None:
    assert draw(model).answers == draw(model).answers
    assert draw(model).answers != draw(model, seed=(0, 2)).answers


def test_parts_of_any_size_hold_every_answer(model: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graded_module, "ROWS", 12)
    parted = draw(model)
    assert len(parted.answers) == 7 and all(len(answers) == 4 for answers in parted.answers)
    np.testing.assert_array_equal(parted.prompts[0], draw(model).prompts[0])
    assert parted.answers[0] != parted.answers[3]


def test_too_few_prompts_are_refused(model: Decoder) -> None:
    with pytest.raises(ValueError, match="9 prompts are fewer than the 10"):
        draw(model, num_prompts=10)
