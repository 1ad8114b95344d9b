"""Which questions a run asks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxeap.models.hub import HUB
from jaxeap.pipeline.settings import GENERATED_QUESTIONS
from jaxeap.tasks.arithmetic import arithmetic_problems
from jaxeap.tasks.lab_tasks import LAB_TASKS
from jaxeap.tasks.question_sets import load_question_set, read_question_set
from jaxeap.tasks.questions import Question, read_questions

ENUMERATED_TASK = "arithmetic"
"""The one lab task whose problems can be listed."""


def choose_questions(
    source: str,
    levels: Sequence[str],
    count: int | None,
    seed: int,
    *,
    question_set: str | None = None,
    revision: str | None = None,
    split: str | None = None,
) -> list[Question]:
    """Reads or generates questions, keeps those of some levels, and draws some of them.

    Args:
      source: a file of JSON lines, one of `GENERATED_QUESTIONS`, or "hub:" and the name of a question set.
      levels: as the set calls them; none for all.
      count: how many to draw, each equally likely, in random order (a smaller count gives the beginning of the same
        list); None for all in the order of the set.
      seed: of the draw.
      question_set: whose published fields the file has; None where it has the usual ones.
      revision, split: of a set from the Hub, as of `load_question_set`.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is not one of questions, no question has such a level, or there are fewer than `count`; a
        set from the Hub cannot be loaded; generated questions without an end are not counted.
    """
    name, _, part = source.partition(":")
    if source in GENERATED_QUESTIONS and name != ENUMERATED_TASK:
        if count is None:
            raise ValueError(f"config.num_questions is not set; {source} has no end, so say how many are to be drawn")
        return LAB_TASKS[name].questions(part, count, seed, levels)
    if source in GENERATED_QUESTIONS:
        questions = arithmetic_problems(part)
    elif source.startswith(HUB):
        questions = load_question_set(part, revision, split)
    elif question_set is not None:
        questions = read_question_set(question_set, source)
    else:
        questions = read_questions(source)
    return draw_questions(questions, source, levels, count, seed)


def draw_questions(
    questions: Sequence[Question], source: str, levels: Sequence[str], count: int | None, seed: int
) -> list[Question]:
    """The second half of `choose_questions`, for questions that were read already; `source` is for messages."""
    known = {question.level for question in questions}
    if unknown := [level for level in levels if level not in known]:
        raise ValueError(
            f"config.question_levels has {unknown[0]!r}; the levels in {source} are {', '.join(sorted(known))}"
        )
    if levels:
        questions = [question for question in questions if question.level in levels]
    if count is None:
        return list(questions)
    if count > len(questions):
        raise ValueError(
            f"config.num_questions is {count}; {source} has {len(questions)} questions"
            f"{' of these levels' if levels else ''}: set it to {len(questions)} to ask all, or to fewer"
        )
    order = np.random.default_rng(seed).permutation(len(questions))
    return [questions[place] for place in order[:count]]
