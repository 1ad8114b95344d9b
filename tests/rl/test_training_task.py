"""The main task: its demonstrations as tokens, its questions, and that its seed is the base's."""

import numpy as np
import pytest

from jaxeap.rl.training_task import arithmetic_task, encode_demonstrations, rl_questions, streams
from jaxeap.tasks.arithmetic import arithmetic_problems, demonstrations
from jaxeap.tasks.tokenizer import arithmetic_tokenizer


def test_demonstrations_end_with_the_end_of_text() -> None:
    tokenizer = arithmetic_tokenizer()
    answered = encode_demonstrations([("37+58=", "590"), ("40-11=", "92")], tokenizer)
    assert [tokenizer.decode(row) for row in answered.prompts] == ["37+58=", "40-11="]
    assert [tokenizer.decode(row) for row in answered.answers] == ["590<eos>", "92<eos><pad>"]
    assert answered.mask.tolist() == [[True] * 4, [True] * 3 + [False]]


def test_rl_questions_keep_all_carries_and_few_others() -> None:
    kept, every = rl_questions(0.35, np.random.default_rng(0)), arithmetic_problems("train")
    plain = sum(question.level == "no_carry" for question in kept)
    assert len(kept) - plain == sum(question.level != "no_carry" for question in every)
    assert plain / (len(every) - (len(kept) - plain)) == pytest.approx(0.35, abs=0.02)


def test_the_task_is_what_its_seed_says() -> None:
    task = arithmetic_task(3, 50)
    texts = demonstrations(50, np.random.default_rng(streams(3).demonstrations), 0.6, 0.35)
    assert [prompt + answer for prompt, answer in task.demonstrations] == texts
    assert all(prompt.endswith("=") and len(answer) == 3 for prompt, answer in task.demonstrations)
    assert task == arithmetic_task(3, 50) != arithmetic_task(4, 50)
    assert "60% of" in task.description and task.data["drop_carry_share"] == 0.6


def test_streams_of_a_seed_all_differ() -> None:
    assert len(set(streams(1)) | set(streams(2))) == 12
