"""How hard questions are, as a number."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from jaxeap.tasks.questions import Question

BY_NUMBER = "the number in the question's level"
BY_ERRORS = "the share of wrong answers, of both models, among all questions of the level"

_NUMBER = re.compile(r"\d+(\.\d+)?")


def difficulties(
    questions: Sequence[Question], right: Sequence[Mapping[str, bool]]
) -> tuple[npt.NDArray[np.float64], str | None]:
    """Levels as numbers: their own where every one holds a number ("Level 3"); else how often they are failed.

    A level without a number has no order of its own. How often the two models fail at it gives one. It is one number
    for all questions of a level, so a question's own two answers hardly move it unless its level has few.

    Args:
      questions: all that were asked.
      right: of each model, by question id, whether it answered rightly.

    Returns:
      [number of questions] float64, NaN for a question without a level; and which of the two it is, None where no
      question has a level.
    """
    levels = {question.level for question in questions} - {""}
    if not levels:
        return np.full(len(questions), np.nan), None
    numbers = {level: _NUMBER.search(level) for level in levels}
    if all(numbers.values()):
        values = {level: float(match.group()) for level, match in numbers.items() if match}
        return np.array([values.get(question.level, np.nan) for question in questions]), BY_NUMBER
    wrong: dict[str, list[bool]] = defaultdict(list)
    for question in questions:
        wrong[question.level] += [not of_model[question.id] for of_model in right]
    shares = {level: float(np.mean(wrong[level])) for level in levels}
    return np.array([shares.get(question.level, np.nan) for question in questions]), BY_ERRORS
