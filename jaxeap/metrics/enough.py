"""How many questions are enough: the width of the interval against their number."""

import dataclasses
import math
from typing import Any

import numpy as np

from jaxeap.metrics.compare import compare
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.paired import PairedStatistics

FEWEST = 8
STEPS = 8
RESAMPLES = 2000
"""Widths need not be as steady as the interval that is reported."""


@dataclasses.dataclass(frozen=True)
class EnoughQuestions:
    """One metric.

    Attributes:
        examples: growing numbers of questions, the last all of them.
        width: of the interval of the difference over the first so many questions of one random order; None without.
        needed: how many questions make the interval half as wide as the difference is large, so that it leaves 0 out,
            or as narrow as was asked for; an extrapolation with 1 / sqrt(n), None where there is no width to go by.
    """

    examples: tuple[int, ...]
    width: tuple[float | None, ...]
    needed: int | None

    def to_json(self) -> dict[str, Any]:
        return {"examples": list(self.examples), "width": list(self.width), "needed": self.needed}


def enough_questions(
    pairs: list[PairedStatistics], inference: InferenceOptions, half_width: float | None = None
) -> dict[str, EnoughQuestions]:
    """Interval widths over nested subsets of the questions, and how many questions would do.

    `needed` holds if the difference stays what it is. To go on asking until an interval leaves 0 out, and to report
    that interval, is to err more often than its confidence says: take `needed` as a plan for a new run.

    Args:
        pairs: of all questions, from `headline_pairs`.
        inference: how intervals are made.
        half_width: what the interval's half width shall be, as a share of |base|; None: the observed |difference|.
    """
    if half_width is not None and not half_width > 0:
        raise ValueError(f"half_width is {half_width}; give a share of the base model's value, above 0")
    count = len(pairs[0].defined)
    order = np.random.default_rng(inference.seed).permutation(count)
    sizes = subset_sizes(count)
    options = dataclasses.replace(inference, permutations=0, resamples=min(inference.resamples, RESAMPLES))
    rows = [compare([pair.subset(order[:size]) for pair in pairs], options) for size in sizes]
    found = {}
    for number, pair in enumerate(pairs):
        last = rows[-1][number]
        widths = tuple(None if row[number].interval is None else _width(row[number].interval) for row in rows)
        target = None if last.difference is None else abs(last.difference)
        if half_width is not None:
            target = None if last.base is None else half_width * abs(last.base)
        found[pair.measure.name] = EnoughQuestions(tuple(sizes), widths, questions_needed(sizes, widths, target))
    return found


def subset_sizes(count: int) -> list[int]:
    """Up to `STEPS` numbers of questions in a geometric series, the last one all of them."""
    if count <= FEWEST:
        return [count]
    return sorted({round(size) for size in np.geomspace(FEWEST, count, STEPS)})


def questions_needed(sizes: list[int], widths: tuple[float | None, ...], target: float | None) -> int | None:
    """The n at which a width that falls as c / sqrt(n) is twice the target; c is averaged over the sizes in logs."""
    known = [(size, width) for size, width in zip(sizes, widths, strict=True) if width]
    if not known or not target:
        return None
    # widths over more questions are steadier, and closer to what lies ahead
    weights = np.array([size for size, _ in known], float)
    logs = np.array([math.log(width) + math.log(size) / 2 for size, width in known])
    constant = math.exp(float(weights @ logs / weights.sum()))
    return math.ceil((constant / (2 * target)) ** 2 * (1 - 1e-12))


def _width(interval: tuple[float, float] | None) -> float | None:
    return None if interval is None else interval[1] - interval[0]
