"""Which questions a run asks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxeap.pipeline.settings import GENERATED_QUESTIONS
from jaxeap.tasks.arithmetic import arithmetic_problems
from jaxeap.tasks.questions import Question, read_questions


def choose_questions(source: str, levels: Sequence[str], count: int | None, seed: int) -> list[Question]:
    """Reads or generates questions, keeps those of some levels, and draws some of them.

    Args:
      source: a file of JSON lines, or one of `GENERATED_QUESTIONS`.
      levels: as the set calls them; none for all.
      count: how many to draw, each equally likely, in random order (a smaller count gives the beginning of the same
        list); None for all in the order of the set.
      seed: of the draw.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is not one of questions, no question has such a level, or there are fewer than `count`.
    """
    if source in GENERATED_QUESTIONS:
        questions = arithmetic_problems(source.partition(":")[2])
    else:
        questions = read_questions(source)
    known = {question.level for question in questions}
    if unknown := [level for level in levels if level not in known]:
        raise ValueError(
            f"config.question_levels has {unknown[0]!r}; the levels in {source} are {', '.join(sorted(known))}"
        )
    if levels:
        questions = [question for question in questions if question.level in levels]
    if count is None:
        return questions
    if count > len(questions):
        raise ValueError(
            f"config.num_questions is {count}; {source} has {len(questions)} questions"
            f"{' of these levels' if levels else ''}: ask for fewer, or leave it unset to ask all"
        )
    order = np.random.default_rng(seed).permutation(len(questions))
    return [questions[place] for place in order[:count]]
