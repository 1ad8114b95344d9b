"""Addition and multiplication modulo 97, the task on which delayed generalisation was found (arXiv 2201.02177).

`58+61%97=` is answered by two digits, least significant first (`22`, for 22). Operands are two digits from 00 to 96.

Levels: in_range (a sum below 97, where the modulus changes nothing), wrapped (a sum from 97 on), product (`58*61%97=`).
The shortcut forgets the modulus, and writes the last two digits of the sum or product.
"""

from __future__ import annotations

import numpy as np

from jaxeap.tasks.lab_task import LabTask, Problem, random_task
from jaxeap.tasks.questions import Question

MODULUS = 97
LEVELS = ("in_range", "wrapped", "product")


def modular_arithmetic_task() -> LabTask:
    """Sums and products modulo 97."""
    return random_task(
        "modular_arithmetic",
        "sums and products modulo 97, least significant digit first: 58+61%97=22",
        LEVELS,
        3,
        _draw,
    )


def _draw(level: str, count: int, rng: np.random.Generator) -> list[Problem]:
    if level == "product":
        return [_problem(level, int(a), "*", int(b)) for a, b in rng.integers(0, MODULUS, size=(count, 2))]
    problems: list[Problem] = []
    while len(problems) < count:
        operands = rng.integers(0, MODULUS, size=(2 * count, 2))
        fitting = operands[(operands.sum(axis=1) >= MODULUS) == (level == "wrapped")]
        problems += [_problem(level, int(a), "+", int(b)) for a, b in fitting]
    return problems[:count]


def _problem(level: str, a: int, operation: str, b: int) -> Problem:
    value = a + b if operation == "+" else a * b
    right = f"{value % MODULUS:02d}"[::-1]
    text = f"{a:02d}{operation}{b:02d}%{MODULUS}"
    subject = "addition" if operation == "+" else "multiplication"
    question = Question(text, f"{text}=", right, level, subject, "modular_arithmetic")
    return Problem(question, right, f"{value % 100:02d}"[::-1], f"{max(a, b)}{operation}{min(a, b)}")
