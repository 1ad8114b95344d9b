"""What the RL lab asks of a task: questions of two disjoint splits at levels of difficulty, and demonstrations.

A task draws problems at random, as many as are wanted; which side of the split a problem is on is decided for good by
a hash of it. Its demonstrations may conflict: a share of them follows a shortcut, a rule that is right on few or easy
problems alone, so that a supervised model mixes two rules and RL has something to select from.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxeap.tasks.questions import Question

SPLITS = ("train", "test")
TEST_SHARE = 0.2
ROUND = 256
"""Draws at a time; a constant, so that what is drawn does not depend on how much is wanted."""
BARREN_ROUNDS = 20
"""Rounds in a row without a new problem, after which there are held to be no more."""


class Demonstration(NamedTuple):
    """What a supervised model is shown: a prompt, and the answer without the end of the text."""

    prompt: str
    answer: str


class Problem(NamedTuple):
    """One problem of a task.

    question: what is asked; its answer is what the task's grader compares with.
    right: the answer as it is demonstrated, intermediate steps included.
    shortcut: the answer by the task's wrong rule; where that rule leads to the right answer, `right`.
    group: problems of one group stand on the same side of the split ("37+58" and "58+37").
    """

    question: Question
    right: str
    shortcut: str
    group: str


DrawProblems = Callable[[str, int, np.random.Generator], list[Problem]]
"""(level, how many, the only source of randomness) -> so many problems of the level, with replacement."""
DrawQuestions = Callable[[str, int, int, Sequence[str]], list[Question]]
DrawDemonstrations = Callable[[int, np.random.Generator, float, Mapping[str, float]], list[Demonstration]]


@dataclasses.dataclass(frozen=True)
class LabTask:
    """A task that a model of a million parameters can learn, in the characters of `arithmetic_tokenizer`.

    Attributes:
      name: for configs, "NAME:test" and "NAME:train" are its questions.
      summary: one line on question and answer, with an example.
      levels: of difficulty, the easiest first.
      max_answer_tokens: the longest right answer, the end of the text included.
      grader: one of `jaxeap.tasks.grading.GRADERS` that judges an answer.
      draw_questions: (split, count, seed, levels) -> different questions; a smaller count gives the beginning of the
        same list.
      draw_demonstrations: (count, generator, share of the shortcut, level -> weight) -> demonstrations of the train
        split, with replacement.
    """

    name: str
    summary: str
    levels: tuple[str, ...]
    max_answer_tokens: int
    grader: str
    draw_questions: DrawQuestions
    draw_demonstrations: DrawDemonstrations

    def questions(self, split: str, count: int, seed: int, levels: Sequence[str] = ()) -> list[Question]:
        """Draws `count` different questions of a split ("train" or "test"); of all levels where none is given.

        A smaller count with the same seed, split and levels gives the beginning of the same list.

        Raises:
          ValueError: there is no such split or level, the count is below 1, or there are fewer different questions.
        """
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; there are: {', '.join(SPLITS)}")
        if count < 1:
            raise ValueError(f"{count} questions asked for; ask for at least 1")
        self._require_levels(levels)
        return self.draw_questions(split, count, seed, tuple(levels) or self.levels)

    def demonstrations(
        self,
        count: int,
        rng: np.random.Generator,
        shortcut_share: float = 0.0,
        level_weights: Mapping[str, float] | None = None,
    ) -> list[Demonstration]:
        """Draws demonstrations from the train split, with replacement.

        Args:
          count: how many; ask for all that a training run needs in one call.
          rng: the only source of randomness.
          shortcut_share: chance of a draw to be answered by the shortcut, from 0 to 1.
          level_weights: how often each level is drawn, as a multiple of how often it comes by itself (all alike; in
            `arithmetic`, by the number of its problems); levels that are not named have 1.

        Raises:
          ValueError: the share is outside 0 to 1, a level is unknown, a weight is negative or all are 0.
        """
        if not 0 <= shortcut_share <= 1:
            raise ValueError(f"shortcut_share must be between 0 and 1, found {shortcut_share}")
        self._require_levels(tuple(level_weights or ()))
        weights = dict.fromkeys(self.levels, 1.0) | dict(level_weights or {})
        if min(weights.values()) < 0 or not sum(weights.values()):
            raise ValueError(f"level_weights must be 0 or more, and one above 0; found {weights}")
        return self.draw_demonstrations(count, rng, shortcut_share, weights)

    def _require_levels(self, levels: Sequence[str]) -> None:
        if unknown := [level for level in levels if level not in self.levels]:
            raise ValueError(f"{self.name} has no level {unknown[0]!r}; its levels are {', '.join(self.levels)}")


def random_task(
    name: str, summary: str, levels: Sequence[str], max_answer_tokens: int, draw: DrawProblems, grader: str = "exact"
) -> LabTask:
    """A task from the one function that draws its problems.

    Each level is equally likely among the questions, as long as it has questions that were not drawn yet.
    """

    def draw_questions(split: str, count: int, seed: int, levels: Sequence[str]) -> list[Question]:
        rng = np.random.default_rng(seed)
        found: dict[str, Question] = {}
        barren = 0
        while len(found) < count and barren < BARREN_ROUNDS:
            before = len(found)
            for problem in _draw_round(draw, levels, np.ones(len(levels)), rng):
                if split_of(name, problem.group) == split:
                    found.setdefault(problem.question.id, problem.question)
            barren = barren + 1 if len(found) == before else 0
        if len(found) < count:
            raise ValueError(
                f"{count} {split} questions of {name} asked for; the levels {', '.join(levels)} have {len(found)} of "
                "them: ask for fewer, or for more levels"
            )
        return list(found.values())[:count]

    def draw_demonstrations(
        count: int, rng: np.random.Generator, shortcut_share: float, weights: Mapping[str, float]
    ) -> list[Demonstration]:
        drawn: list[Problem] = []
        while len(drawn) < count:
            problems = _draw_round(draw, tuple(weights), np.array(list(weights.values())), rng)
            drawn += [problem for problem in problems if split_of(name, problem.group) == "train"]
        by_shortcut = rng.random(count) < shortcut_share
        return [
            Demonstration(problem.question.question, problem.shortcut if shortcut else problem.right)
            for problem, shortcut in zip(drawn, by_shortcut, strict=False)
        ]

    return LabTask(name, summary, tuple(levels), max_answer_tokens, grader, draw_questions, draw_demonstrations)


def split_of(task: str, group: str) -> str:
    """The split of a group of problems, "test" for about a fifth of them."""
    digest = hashlib.sha256(f"{task}:{group}".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64 else "train"


def _draw_round(
    draw: DrawProblems, levels: Sequence[str], weights: np.ndarray, rng: np.random.Generator
) -> list[Problem]:
    """ROUND problems, their levels in random order."""
    places = rng.choice(len(levels), size=ROUND, p=weights / weights.sum())
    by_level = {
        int(place): iter(draw(levels[place], int(count), rng))
        for place, count in zip(*np.unique(places, return_counts=True), strict=True)
    }
    return [next(by_level[int(place)]) for place in places]
