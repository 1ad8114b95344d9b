"""What an answer is worth. A reward is any function of this type; the lab's is whether the answer is right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from jaxeap.sampling.respond import require_eos, responses_of
from jaxeap.tasks.grading import grade_responses
from jaxeap.tasks.questions import Question

if TYPE_CHECKING:
    import transformers

Reward = Callable[[Sequence[int], Sequence[list[int]]], Sequence[float]]
"""(which prompt each answer is to, the answers as token lists) -> one number an answer."""


def correctness_reward(
    questions: Sequence[Question], tokenizer: transformers.PreTrainedTokenizerBase, grader: str = "exact"
) -> Reward:
    """1 for a finished, right answer and 0 for any other, by the grader that evaluation uses too.

    Args:
      questions: prompt i asks question i.
      tokenizer: of the model.
      grader: a key of `jaxeap.tasks.grading.GRADERS`.
    """
    stop = require_eos(tokenizer)

    def reward(prompts: Sequence[int], answers: Sequence[list[int]]) -> list[float]:
        asked = [questions[prompt] for prompt in prompts]
        responses = responses_of(tokenizer, asked, [()] * len(asked), answers, stop)
        return [float(verdict.correct) for verdict in grade_responses(asked, responses, grader)]

    return reward
