"""What one run is trained and tested on, as a small value that a plan can hold; the data are drawn from it anew."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from jaxeap.rl.training_task import TrainingTask, arithmetic_task, streams
from jaxeap.tasks.arithmetic import LEVELS, arithmetic_problems
from jaxeap.tasks.lab_tasks import LAB_TASKS


@dataclasses.dataclass(frozen=True)
class DataChoice:
    """Data of the lab's main task, with what experiments vary.

    Attributes:
      seed: of everything that is drawn.
      num_demonstrations: for supervised training; with the seed it decides which.
      num_prompts: how many different problems RL may ask; None for all of them.
      levels: problems of these alone are demonstrated and asked; () for all. Tests have all levels always.
      also: another task of `LAB_TASKS`, whose demonstrations (all right) take half the places; None for none. RL asks
        arithmetic only.
    """

    seed: int
    num_demonstrations: int
    num_prompts: int | None = None
    levels: tuple[str, ...] = ()
    also: str | None = None

    def __post_init__(self) -> None:
        if set(self.levels) - set(LEVELS):
            raise ValueError(f"levels are {', '.join(LEVELS)}; found {', '.join(self.levels)}")
        if self.also is not None and self.also not in LAB_TASKS:
            raise ValueError(f"there is no task {self.also!r}; there are {', '.join(LAB_TASKS)}")


@functools.lru_cache(maxsize=1)  # neighbours in a plan share their data, and drawing takes a second
def draw_data(choice: DataChoice) -> TrainingTask:
    """The data of a choice; equal choices give equal data.

    Raises:
      ValueError: there are fewer prompts than are to be kept.
    """
    task = arithmetic_task(choice.seed, choice.num_demonstrations)
    demonstrations, questions = list(task.demonstrations), list(task.questions)
    rng = np.random.default_rng([streams(choice.seed).questions, 1])
    if choice.levels:
        inside = {problem.question for problem in arithmetic_problems("train", choice.levels)}
        demonstrations = [shown for shown in demonstrations if shown[0] in inside]
        questions = [question for question in questions if question.question in inside]
    if choice.num_prompts is not None:
        if choice.num_prompts > len(questions):
            raise ValueError(f"{choice.num_prompts} prompts asked for; there are {len(questions)}")
        questions = [questions[place] for place in rng.permutation(len(questions))[: choice.num_prompts]]
    if choice.also is not None:
        half = len(demonstrations) // 2
        other = LAB_TASKS[choice.also].demonstrations(half, np.random.default_rng([choice.seed, 2]))
        # Interleaved, so that any stretch of them holds both; the trainer shuffles anyway.
        demonstrations[1 : 2 * half : 2] = [(shown.prompt, shown.answer) for shown in other]
    changes = {key: value for key, value in dataclasses.asdict(choice).items() if value and key not in _NOT_CHANGES}
    return dataclasses.replace(task, demonstrations=demonstrations, questions=questions, data={**task.data, **changes})


_NOT_CHANGES = ("seed", "num_demonstrations")
