"""Accuracy on questions: the share of finished answers that the grader finds right."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxeap.models.model import Decoder
from jaxeap.sampling.respond import respond
from jaxeap.tasks.grading import grade_responses
from jaxeap.tasks.questions import Question

if TYPE_CHECKING:
    import transformers


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """How many questions were asked and how many were answered right.

    Attributes:
      right: level -> right answers; every level that was asked is there.
      asked: level -> questions.
    """

    right: Mapping[str, int]
    asked: Mapping[str, int]

    @property
    def overall(self) -> float:
        """Share of all questions, from 0 to 1."""
        return sum(self.right.values()) / sum(self.asked.values())

    @property
    def by_level(self) -> dict[str, float]:
        """Share of each level's questions, from 0 to 1."""
        return {level: self.right[level] / asked for level, asked in self.asked.items()}


def measure_accuracy(
    model: Decoder,
    tokenizer: transformers.PreTrainedTokenizerBase,
    questions: Sequence[Question],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 512,
    grader: str = "exact",
) -> Accuracy:
    """Asks every question once.

    Args:
      model, tokenizer, questions, max_new_tokens, temperature, seed, batch_size: as of `respond`.
      grader: a key of `jaxeap.tasks.grading.GRADERS`.

    Raises:
      ValueError: there are no questions; and as `respond`.
    """
    if not questions:
        raise ValueError("there are no questions to measure accuracy on")
    responses = respond(
        model,
        tokenizer,
        questions,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        batch_size=batch_size,
    )
    verdicts = grade_responses(questions, responses, grader)
    asked = Counter(question.level for question in questions)
    right = Counter(question.level for question, verdict in zip(questions, verdicts, strict=True) if verdict.correct)
    return Accuracy({level: right[level] for level in asked}, dict(asked))
