"""Answers drawn from a model and graded, for trainers that choose what to learn from: DPO and rejection sampling."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from jaxeap.models.config import ModelConfig
from jaxeap.models.parameters import Weights
from jaxeap.rl.rewards import Reward
from jaxeap.rl.rollouts import roll_out
from jaxeap.sampling.batching import pad_right

ROWS = 2048
"""Answers that are drawn together: bounds the memory of the cache."""


@dataclasses.dataclass(frozen=True)
class GradedAnswers:
    """R answers to each of P prompts.

    Attributes:
      prompts: P token lists.
      answers: P lists of R token lists, the stop token included.
      rewards: [P, R] float32.
    """

    prompts: Sequence[Sequence[int]]
    answers: Sequence[Sequence[Sequence[int]]]
    rewards: np.ndarray


def draw_graded(
    weights: Weights,
    config: ModelConfig,
    prompts: Sequence[Sequence[int]],
    reward: Reward,
    *,
    num_prompts: int,
    answers_each: int,
    max_new_tokens: int,
    stop_tokens: tuple[int, ...],
    temperature: float,
    seed: Sequence[int],
) -> GradedAnswers:
    """Draws prompts without replacement, answers each R times, and grades the answers.

    Args:
      weights: tree of `parameter_specs(config)`.
      config: the decoder's shape.
      prompts: token lists to draw from, each equally likely.
      reward: what the answers are worth.
      num_prompts: P; at most as many as there are prompts.
      answers_each: R.
      max_new_tokens, stop_tokens, temperature: as of `roll_out`.
      seed: one or more numbers, of the prompts and of the answers.

    Raises:
      ValueError: there are fewer prompts than are to be drawn.
    """
    if len(prompts) < num_prompts:
        raise ValueError(f"{len(prompts)} prompts are fewer than the {num_prompts} that are to be drawn")
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(prompts), size=num_prompts, replace=False)
    key = jax.random.key(int(rng.integers(2**63)))
    length = max(len(prompt) for prompt in prompts)
    together = max(1, min(num_prompts, ROWS // answers_each))
    answers: list[list[int]] = []
    for first in range(0, num_prompts, together):
        asked = [prompts[place] for place in drawn[first : first + together]]
        tokens, lengths = pad_right(asked, length, together)
        rollouts = roll_out(
            weights,
            config,
            tokens,
            lengths,
            jax.random.fold_in(key, first),
            answers_each=answers_each,
            max_new_tokens=max_new_tokens,
            stop_tokens=stop_tokens,
            temperature=temperature,
        )
        answers += rollouts.answer_lists()[: len(asked) * answers_each]
    rewards = np.array(reward(np.repeat(drawn, answers_each).tolist(), answers), np.float32)
    grouped = [answers[first : first + answers_each] for first in range(0, len(answers), answers_each)]
    return GradedAnswers([prompts[place] for place in drawn], grouped, rewards.reshape(num_prompts, answers_each))
