"""The tasks of the RL lab by name, the shipped pair's own among them, all with one interface."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence

import numpy as np

from jaxeap.tasks import arithmetic
from jaxeap.tasks.column_arithmetic import chain_of_thought_task, column_arithmetic_task
from jaxeap.tasks.lab_task import Demonstration, LabTask
from jaxeap.tasks.modular_arithmetic import modular_arithmetic_task
from jaxeap.tasks.questions import Question
from jaxeap.tasks.reversal import digit_reversal_task, reversal_task


def arithmetic_task() -> LabTask:
    """The shipped pair's task: two-digit addition and subtraction, exactly as `jaxeap.tasks.arithmetic` draws them."""

    def draw_demonstrations(
        count: int, rng: np.random.Generator, shortcut_share: float, weights: Mapping[str, float]
    ) -> list[Demonstration]:
        texts = arithmetic.weighted_demonstrations(count, rng, shortcut_share, weights)
        return [Demonstration(prompt + mark, answer) for prompt, mark, answer in (t.partition("=") for t in texts)]

    def draw_questions(split: str, count: int, seed: int, levels: Sequence[str]) -> list[Question]:
        return arithmetic.arithmetic_questions(split, count, seed, levels)

    return LabTask(
        name="arithmetic",
        summary="addition and subtraction of two digits, least significant digit first: 37+58=590",
        levels=arithmetic.LEVELS,
        max_answer_tokens=4,
        grader="exact",
        draw_questions=draw_questions,
        draw_demonstrations=draw_demonstrations,
    )


LAB_TASKS: Mapping[str, LabTask] = types.MappingProxyType(
    {
        task.name: task
        for task in (
            arithmetic_task(),
            column_arithmetic_task(),
            chain_of_thought_task(),
            modular_arithmetic_task(),
            reversal_task(),
            digit_reversal_task(),
        )
    }
)
