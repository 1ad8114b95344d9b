"""Writing a string backwards: a task of the same shape as arithmetic, and no arithmetic.

`abca=` is answered `acba`. Prompts are made of characters of the lab's tokenizer, so that a model which was trained on
arithmetic can be run on them; `digit_reversal` (`3094=` is answered `4903`) uses only characters that arithmetic
trains too, so that no embedding in it is left as it was drawn. To ask whether training on arithmetic changed how a
model reverses strings, train the base on demonstrations of both.

Levels are the lengths, `length_3` to `length_8`. The shortcut copies the string as it stands; it is right where that
reads the same both ways, and drawn strings seldom do.
"""

from __future__ import annotations

import functools

import numpy as np

from jaxeap.tasks.lab_task import LabTask, Problem, random_task
from jaxeap.tasks.questions import Question

LENGTHS = range(3, 9)
LEVELS = tuple(f"length_{length}" for length in LENGTHS)


def reversal_task() -> LabTask:
    """Strings of the letters a to d."""
    return _task("reversal", "abcd", "a string of letters backwards: abca=acba")


def digit_reversal_task() -> LabTask:
    """Strings of digits."""
    return _task("digit_reversal", "0123456789", "a string of digits backwards: 3094=4903")


def _task(name: str, alphabet: str, summary: str) -> LabTask:
    return random_task(name, summary, LEVELS, max(LENGTHS) + 1, functools.partial(_draw, name, alphabet))


def _draw(name: str, alphabet: str, level: str, count: int, rng: np.random.Generator) -> list[Problem]:
    length = int(level.rpartition("_")[2])
    strings = ["".join(alphabet[i] for i in row) for row in rng.integers(0, len(alphabet), size=(count, length))]
    return [
        Problem(Question(text, f"{text}=", text[::-1], level, "string", name), text[::-1], text, text)
        for text in strings
    ]
