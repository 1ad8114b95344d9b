"""Rejection sampling: what is kept, by hand; the training against what it must do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxeap.models.model import Decoder
from jaxeap.rl.graded import GradedAnswers
from jaxeap.rl.rejection_sampling import RejectionSettings, keep_right, train_rejection
from jaxeap.rl.training import OptimizerSettings, TrainState

pytestmark = pytest.mark.standard_promotion


def test_different_right_answers_are_kept_up_to_the_limit() -> None:
    graded = GradedAnswers(
        [[3], [8, 9], [4]],
        [[[5, 1], [6, 1], [5, 1], [5, 5, 1]], [[6, 1]] * 4, [[7, 1], [6, 1], [6, 6, 1], [6, 6, 6]]],
        np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 1]], np.float32),
    )

    def kept(kept_each: int) -> list[tuple[list[int], list[int]]]:
        right = keep_right(graded, threshold=1.0, kept_each=kept_each, prompt_length=2, answer_length=3)
        return [
            (right.prompts[row, : right.prompt_lengths[row]].tolist(), right.answers[row][right.mask[row]].tolist())
            for row in range(len(right))
        ]

    assert kept(1) == [([3], [5, 1]), ([4], [6, 1])]
    assert kept(2) == [([3], [5, 1]), ([3], [5, 5, 1]), ([4], [6, 1]), ([4], [6, 6, 1])]
    with pytest.raises(ValueError, match="none of the answers to 3 prompts"):
        keep_right(graded, threshold=2.0, kept_each=1, prompt_length=2, answer_length=3)


SETTINGS = RejectionSettings(
    steps=6,
    updates_per_step=4,
    prompts_per_step=24,
    answers_each=4,
    max_new_tokens=2,
    batch_size=16,
    optimizer=OptimizerSettings(learning_rate=1e-2, warmup_steps=2),
)
PROMPTS = [[3 + place % 20, 4, 5][: 1 + place % 3] for place in range(30)]


def low_first_token(prompts: list[int], answers: list[list[int]]) -> list[float]:
    """A reward that half of the answers of a random model get."""
    return [float(answer[0] < 16) for answer in answers]


def train(model: Decoder, settings: RejectionSettings, state: TrainState | None = None):
    state = state or TrainState.start(model.weights, settings.make_optimizer())
    run = train_rejection(
        state, model.config, model.weights, PROMPTS, low_first_token, settings, stop_tokens=(1,), seed=5
    )
    return [(state, {name: float(value) for name, value in metrics.items()}) for state, metrics in run]


def test_training_raises_the_reward_is_repeatable_and_goes_on_from_any_state(model: Decoder) -> None:
    run = train(model, SETTINGS)
    rewards = [metrics["reward"] for _, metrics in run]
    assert rewards[-1] > rewards[0] + 0.2
    jax.tree.map(np.testing.assert_array_equal, train(model, SETTINGS)[-1][0], run[-1][0])
    resumed = train(model, SETTINGS, state=run[3][0])
    assert len(resumed) == 2
    jax.tree.map(np.testing.assert_array_equal, resumed[-1][0], run[-1][0])


def test_impossible_settings_and_inputs_are_refused(model: Decoder) -> None:
    with pytest.raises(ValueError, match="counts must be at least 1"):
        RejectionSettings(kept_each=0)
    with pytest.raises(ValueError, match="30 prompts are fewer than the 31"):
        train(model, dataclasses.replace(SETTINGS, prompts_per_step=31))
    state = TrainState.start(model.weights, SETTINGS.make_optimizer())
    with pytest.raises(ValueError, match="1 updates into a round"):
        train(model, SETTINGS, TrainState(state.weights, state.optimizer_state, jnp.int32(1)))
