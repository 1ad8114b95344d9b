"""Pairs of a better and a worse answer to one prompt, made from graded answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from jaxeap.rl.answered import Answered
from jaxeap.rl.graded import GradedAnswers
from jaxeap.sampling.batching import pad_right


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Preferences:
    """B prompts with two answers each, in arrays of equal shapes.

    Attributes:
      chosen: the prompts with their better answers.
      rejected: the same prompts with their worse answers.
    """

    chosen: Answered
    rejected: Answered

    def take(self, rows: np.ndarray) -> Preferences:
        """The given rows."""
        return Preferences(self.chosen.take(rows), self.rejected.take(rows))

    def __len__(self) -> int:
        return len(self.chosen)


def pair_answers(
    graded: GradedAnswers, *, pairs_each: int, prompt_length: int, answer_length: int, rng: np.random.Generator
) -> Preferences:
    """Pairs the best answers to each prompt with its worst ones: the best with the worst, the second best with the
    second worst, and so on, as far as the rewards differ; of equal ones, chance decides.

    With a reward of 1 for right and 0 for wrong answers that is min(right, wrong, pairs_each) pairs of a right and a
    wrong answer.

    Args:
      graded: answers with their rewards.
      pairs_each: at most so many pairs a prompt.
      prompt_length: P of the arrays.
      answer_length: N of the arrays.
      rng: breaks ties.

    Raises:
      ValueError: no prompt has answers of different rewards.
    """
    prompts: list[Sequence[int]] = []
    chosen: list[Sequence[int]] = []
    rejected: list[Sequence[int]] = []
    for prompt, answers, rewards in zip(graded.prompts, graded.answers, graded.rewards, strict=True):
        order = np.lexsort((rng.random(len(rewards)), rewards))
        for worse, better in zip(order[:pairs_each], order[::-1][:pairs_each], strict=True):
            if rewards[better] <= rewards[worse]:
                break
            prompts.append(prompt)
            chosen.append(answers[better])
            rejected.append(answers[worse])
    if not prompts:
        raise ValueError(
            f"none of {len(graded.prompts)} prompts has both a better and a worse answer, so there is nothing to "
            "prefer; draw more answers, or at a higher temperature"
        )
    tokens, lengths = pad_right(prompts, prompt_length, len(prompts))

    def answered(answers: list[Sequence[int]]) -> Answered:
        padded, counts = pad_right(answers, answer_length, len(answers))
        return Answered(tokens, lengths, padded, np.arange(answer_length)[None] < counts[:, None])

    return Preferences(answered(chosen), answered(rejected))
