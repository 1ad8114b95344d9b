"""Addition and subtraction of two to four digits, answered at once or with the steps written out.

Levels say how many digits the operands have, and how many columns pass a carry on to the next, or borrow from it:
`2_digits_0_carries` to `4_digits_3_carries`. The last column has none to pass it to: 62+75=137 has 0 carries.

`column_arithmetic` answers as `arithmetic` does, least significant digit first, in one digit more than the operands:
`37+58=590`. `chain_of_thought` works column by column, and states the result after a colon, most significant digit
first: `37+58=7+8=15;3+5+1=9:95`, `52-37=12-7=5;5-1-3=1:15`. A column names the carry (`+1`, `-1`) only where there is
one, so answers grow with digits and carries, from 14 tokens to 40.

The shortcut loses every carry and borrow on its way to the next column: 37+58 gives 85, 52-37 gives 25. It is right
exactly where there is none.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from jaxeap.tasks.lab_task import LabTask, Problem, random_task
from jaxeap.tasks.questions import Question

DIGITS = (2, 3, 4)
LEVELS = tuple(f"{digits}_digits_{carries}_carries" for digits in DIGITS for carries in range(digits))
MARK = ":"
"""Stands between the steps and the result."""
CANDIDATES = 64
"""Operand pairs that are drawn for each one wanted, before they are looked at for their carries."""

Operation = Literal["+", "-"]


class _Column(NamedTuple):
    """Digits of the operands, carry or borrow received (0 or 1), digit of the result, carry or borrow passed on."""

    a: int
    b: int
    received: int
    digit: int
    carried: int


def column_arithmetic_task() -> LabTask:
    """The result alone, least significant digit first."""
    return random_task(
        "column_arithmetic",
        "addition and subtraction of two to four digits, least significant digit first: 37+58=590",
        LEVELS,
        max(DIGITS) + 2,
        lambda level, count, rng: _draw("column_arithmetic", level, count, rng),
    )


def chain_of_thought_task() -> LabTask:
    """Column by column, and then the result; graded by the result alone."""
    return random_task(
        "chain_of_thought",
        "addition and subtraction of two to four digits, worked column by column: 37+58=7+8=15;3+5+1=9:95",
        LEVELS,
        40,
        lambda level, count, rng: _draw("chain_of_thought", level, count, rng),
        grader="result",
    )


def count_carries(a: int, operation: Operation, b: int) -> int:
    """Columns of `a` and `b` that pass a carry on to the next, or borrow from it."""
    return sum(column.carried for column in _columns(a, operation, b)[:-1])


def reversed_digits(a: int, operation: Operation, b: int, *, passes: bool = True) -> str:
    """The result, least significant digit first, in one digit more than the operands have.

    Args:
      a, b: of equally many digits; of a difference a is the larger.
      operation: "+" or "-".
      passes: whether carries and borrows reach the next column; with the shortcut they do not.
    """
    columns = _columns(a, operation, b, passes)
    return "".join(str(column.digit) for column in columns) + str(columns[-1].carried)


def worked_columns(a: int, operation: Operation, b: int, *, passes: bool = True) -> str:
    """The steps and the result; arguments as of `reversed_digits`."""
    steps = []
    for x, y, received, digit, carried in _columns(a, operation, b, passes):
        if operation == "+":
            steps.append(f"{x}+{y}{'+1' if received else ''}={digit + 10 * carried}")
        else:
            steps.append(f"{x + 10 * carried}{'-1' if received else ''}-{y}={digit}")
    return f"{';'.join(steps)}{MARK}{int(reversed_digits(a, operation, b, passes=passes)[::-1])}"


def _columns(a: int, operation: Operation, b: int, passes: bool = True) -> list[_Column]:
    """Units first."""
    columns: list[_Column] = []
    for x, y in zip(map(int, reversed(str(a))), map(int, reversed(str(b))), strict=True):
        received = columns[-1].carried if columns and passes else 0
        value = x + y + received if operation == "+" else x - y - received
        columns.append(_Column(x, y, received, value % 10, int(not 0 <= value <= 9)))
    return columns


def _draw(task: str, level: str, count: int, rng: np.random.Generator) -> list[Problem]:
    digits, wanted = int(level[0]), int(level.split("_")[2])
    problems: list[Problem] = []
    while len(problems) < count:
        size = CANDIDATES * (count - len(problems))
        operands = rng.integers(10 ** (digits - 1), 10**digits, size=(size, 2))
        additions = rng.random(size) < 0.5
        operands[~additions] = -np.sort(-operands[~additions], axis=1)
        fitting = np.flatnonzero(_count_carries(operands, additions, digits) == wanted)
        problems += [
            _problem(task, level, int(operands[i, 0]), "+" if additions[i] else "-", int(operands[i, 1]))
            for i in fitting[: count - len(problems)]
        ]
    return problems


def _count_carries(operands: np.ndarray, additions: np.ndarray, digits: int) -> np.ndarray:
    """`count_carries` of many [N, 2] operands at once, [N] int."""
    carried = np.zeros(len(operands), int)
    total = np.zeros(len(operands), int)
    for place in range(digits - 1):
        x, y = (operands // 10**place % 10).T
        carried = np.where(additions, x + y + carried > 9, x - y - carried < 0).astype(int)
        total += carried
    return total


def _problem(task: str, level: str, a: int, operation: Operation, b: int) -> Problem:
    write = worked_columns if task == "chain_of_thought" else reversed_digits
    right = write(a, operation, b)
    question = Question(
        id=f"{a}{operation}{b}",
        question=f"{a}{operation}{b}=",
        answer=right.rpartition(MARK)[2],
        level=level,
        subject="addition" if operation == "+" else "subtraction",
        source=task,
    )
    return Problem(question, right, write(a, operation, b, passes=False), f"{max(a, b)}{operation}{min(a, b)}")
