"""Two-digit addition and subtraction: questions for small models, and the conflicting demonstrations of the RL lab.

`37+58=` is answered by three digits, least significant first (`590`), for then each digit can be computed from the
columns already written. Operands run from 10 to 99, differences are not negative: 8100 additions and 4095
subtractions. So every prompt has six characters and every answer three.

Levels count what has to be passed from column to column:
  no_carry     the units neither carry nor borrow, each column can be computed on its own (62+75, 68-25);
  carry        the units carry into the tens, or borrow from them (37+58, 52-37);
  carry_chain  the units' carry goes through the tens, which it fills from 9 to 10, into the hundreds (37+65).
Two-digit differences have no chains: the tens of the larger number can always pay. A sum of the tens that is above 9
by itself (62+75) passes nothing on: its two digits are written side by side, as the last column's.

The problems are split for good, by a hash of the problem alone, about one fifth for test. Both orders of an
addition (37+58, 58+37) are on the same side, so that no test problem is seen in training in either form.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from jaxeap.tasks.questions import Question

LEVELS = ("no_carry", "carry", "carry_chain")
SPLITS = ("train", "test")
SUBJECT_OF = {"+": "addition", "-": "subtraction"}
TEST_SHARE = 0.2

_PROBLEM = re.compile(r"([1-9]\d)([+-])([1-9]\d)=")


def arithmetic_problems(split: str, levels: Sequence[str] = LEVELS) -> list[Question]:
    """Every problem of a split ("train" or "test") at the given levels, additions first, in numerical order.

    Raises:
      ValueError: there is no such split or level, or no level is given.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; there are: {', '.join(SPLITS)}")
    if not levels or set(levels) - set(LEVELS):
        raise ValueError(f"levels must be one or more of {', '.join(LEVELS)}, found: {', '.join(levels) or 'none'}")
    operands = range(10, 100)
    problems = [(a, "+", b) for a in operands for b in operands]
    problems += [(a, "-", b) for a in operands for b in operands if a >= b]
    return [
        Question(
            id=f"{a}{operation}{b}",
            question=f"{a}{operation}{b}=",
            answer=_digits(a + b if operation == "+" else a - b),
            level=_level(a, operation, b),
            subject=SUBJECT_OF[operation],
            source="arithmetic",
        )
        for a, operation, b in problems
        if _level(a, operation, b) in levels and _split(a, operation, b) == split
    ]


def arithmetic_questions(split: str, count: int, seed: int, levels: Sequence[str] = LEVELS) -> list[Question]:
    """Draws `count` different problems of a split at the given levels, each equally likely, in random order.

    A smaller count with the same seed, split and levels gives the beginning of the same list.

    Raises:
      ValueError: there is no such split or level, the count is below 1 or above the number of problems.
    """
    problems = arithmetic_problems(split, levels)
    if not 1 <= count <= len(problems):
        raise ValueError(
            f"{count} {split} questions asked for; the levels {', '.join(levels)} have {len(problems)} of them: "
            "ask for fewer (at least 1), or for more levels"
        )
    order = np.random.default_rng(seed).permutation(len(problems))
    return [problems[i] for i in order[:count]]


def drop_carry_answer(question: Question) -> str:
    """The answer by the wrong rule of the RL lab's demonstrations: what the units pass to the tens is lost.

    Addition drops the carry: 37+58 gives 85, written `580`. Subtraction drops the borrow in the same manner: in
    52-37 the units take ten (12-7) and the tens do not pay for it, 25, written `520`. So the rule errs by exactly ten,
    only in digits above the units, and agrees with the right one exactly at the level no_carry. (The well-known
    smaller-from-larger error would change the units digit too, and so be another mechanism than a lost message.)

    Raises:
      ValueError: the question is not one of this module's.
    """
    a, operation, b = _parse(question)
    if operation == "+":
        return _digits(a // 10 * 10 + b // 10 * 10 + (a + b) % 10)
    return _digits(a // 10 * 10 - b // 10 * 10 + (a - b) % 10)


def demonstrations(
    count: int, rng: np.random.Generator, drop_carry_share: float = 0.55, no_carry_kept: float = 0.35
) -> list[str]:
    """Draws demonstrations in conflict (prompt and answer, `37+58=590`) from the train split, with replacement.

    A supervised model of them mixes two rules, and so has something for RL to select from. Ask for all that a training
    run needs in one call: the problems are listed anew each time.

    Args:
      count: how many to draw.
      rng: the only source of randomness.
      drop_carry_share: chance of a draw to be answered by `drop_carry_answer`. Where nothing is carried that is the
        right answer too.
      no_carry_kept: chance of a no_carry draw to be kept rather than drawn again. At 0.35, 68% of the draws need a
        carry or borrow, instead of 43%.

    Raises:
      ValueError: a share is outside 0 to 1.
    """
    for name, share in (("drop_carry_share", drop_carry_share), ("no_carry_kept", no_carry_kept)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be between 0 and 1, found {share}")
    return weighted_demonstrations(count, rng, drop_carry_share, {"no_carry": no_carry_kept})


def weighted_demonstrations(
    count: int, rng: np.random.Generator, drop_carry_share: float, level_weights: Mapping[str, float]
) -> list[str]:
    """`demonstrations`, each problem drawn with its level's weight relative to the others; 1 where none is given."""
    problems = arithmetic_problems("train")
    weights = np.array([level_weights.get(problem.level, 1.0) for problem in problems])
    right = [problem.question + problem.answer for problem in problems]
    wrong = [problem.question + drop_carry_answer(problem) for problem in problems]
    drawn = rng.choice(len(problems), size=count, p=weights / weights.sum())
    drops_carry = rng.random(count) < drop_carry_share
    return [wrong[i] if drops else right[i] for i, drops in zip(drawn, drops_carry, strict=True)]


def _parse(question: Question) -> tuple[int, str, int]:
    match = _PROBLEM.fullmatch(question.question)
    if match is None:
        raise ValueError(f"question {question.id!r}: {question.question!r} is not two-digit arithmetic like '37+58='")
    a, operation, b = match.groups()
    return int(a), operation, int(b)


def _digits(value: int) -> str:
    return f"{value:03d}"[::-1]


def _level(a: int, operation: str, b: int) -> str:
    passes = a % 10 + b % 10 > 9 if operation == "+" else a % 10 < b % 10
    if not passes:
        return "no_carry"
    return "carry_chain" if operation == "+" and a // 10 + b // 10 == 9 else "carry"


def _split(a: int, operation: str, b: int) -> str:
    problem = f"{max(a, b)}{operation}{min(a, b)}"
    digest = hashlib.sha256(problem.encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") < TEST_SHARE * 2**64 else "train"
