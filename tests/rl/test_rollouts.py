"""Rollouts: their log-probabilities are the teacher-forced ones, and their groups stand in order."""

import jax
import numpy as np
import pytest

from jaxeap.models.model import Decoder
from jaxeap.rl.answered import answer_log_probs
from jaxeap.rl.rollouts import roll_out
from jaxeap.sampling.batching import pad_right

PROMPTS, LENGTHS = pad_right([[3, 4, 5], [9], [8, 7, 6, 5, 4]], 5, 3)
OPTIONS = dict(answers_each=4, max_new_tokens=6, stop_tokens=(1, 2, 3, 4, 5))


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_log_probs_equal_teacher_forced_ones(model: Decoder, temperature: float) -> None:
    rollouts = roll_out(
        model.weights, model.config, PROMPTS, LENGTHS, jax.random.key(0), temperature=temperature, **OPTIONS
    )
    forced = answer_log_probs(model.weights, model.config, rollouts.answered, temperature)
    lengths = np.asarray(rollouts.answered.mask).sum(axis=1)
    assert len(set(lengths.tolist())) > 2
    np.testing.assert_allclose(rollouts.log_probs, forced, atol=1e-5)


def test_groups_are_neighbours_and_answers_end_at_the_stop_token(model: Decoder) -> None:
    rollouts = roll_out(model.weights, model.config, PROMPTS, LENGTHS, jax.random.key(0), temperature=1.0, **OPTIONS)
    np.testing.assert_array_equal(rollouts.answered.prompts, [PROMPTS[row // 4] for row in range(12)])
    assert rollouts.answered.prompt_lengths.tolist() == [LENGTHS[row // 4] for row in range(12)]
    answers = rollouts.answer_lists()
    assert len({tuple(answer) for answer in answers}) > 6
    for answer in answers:
        assert all(token > 5 or token == 0 for token in answer[:-1])
        assert len(answer) == 6 or 1 <= answer[-1] <= 5


def test_the_key_decides(model: Decoder) -> None:
    draws = [
        roll_out(
            model.weights, model.config, PROMPTS, LENGTHS, jax.random.key(seed), temperature=1.0, **OPTIONS
        ).answer_lists()
        for seed in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_greedy_rollouts_are_refused(model: Decoder) -> None:
    with pytest.raises(ValueError, match="temperature above 0"):
        roll_out(model.weights, model.config, PROMPTS, LENGTHS, jax.random.key(0), temperature=0.0, **OPTIONS)
