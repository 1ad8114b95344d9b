"""The null by splitting: two halves of one model's questions, contrasted as if they were two models.

Nothing was trained between the halves, so what differs between them is which questions fell into which. The halves are
of N / 2 questions each and hold different questions, while the headline pairs N questions with themselves. A difference
of means over halves scatters with a variance of 4 s^2 / N, that of two models on N questions of their own each with
2 s^2 / N; so differences of halves are divided by the square root of 2. They are still unpaired: a bar that is too high
where two models find the same questions hard, which is why it stands beside the paired interval and not in its place.
"""

import dataclasses
from typing import Any

import numpy as np

from jaxeap.metrics.entries import FloatArray
from jaxeap.metrics.measures import Measure
from jaxeap.metrics.weighting import defined_examples

CENTRAL = 0.95
_BLOCK = 512


@dataclasses.dataclass(frozen=True)
class NullSplit:
    """What splitting one model's questions says of one metric.

    Attributes:
        metric: its name.
        low, high: between which the central 95% of the null differences lie, scaled to N questions; None with fewer
            than 8 questions for which it is defined.
        observed: the headline's difference.
        share_beyond: share of null differences at least as large in size, (1 + count) / (1 + splits); it is no p-value
            of the paired difference.
        splits: how many.
        origin: whose questions were split, "base" or "tuned".
    """

    metric: str
    low: float | None
    high: float | None
    observed: float | None
    share_beyond: float | None
    splits: int
    origin: str

    def to_json(self) -> dict[str, Any]:
        content = dataclasses.asdict(self)
        return content | {"from": content.pop("origin")}


def null_split(
    measure: Measure, statistics: FloatArray, observed: float | None, *, splits: int, seed: int, origin: str
) -> NullSplit:
    """Splits one model's questions at random, many times.

    Args:
        measure: the metric.
        statistics: [N, ...] its statistics in that model; questions for which it is undefined belong to no half.
        observed: the difference between the two models.
        splits: how many; of an odd number of questions one stays out of either half, another each time.
        seed: of the splits.
        origin: which model's they are.
    """
    defined = np.flatnonzero(defined_examples(statistics))
    statistics = np.nan_to_num(statistics)
    half = len(defined) // 2
    if half < 4 or splits < 1:
        return NullSplit(measure.name, None, None, observed, None, splits, origin)
    generator = np.random.default_rng(seed)
    differences = []
    for start in range(0, splits, _BLOCK):
        shape = (min(_BLOCK, splits - start), len(defined))
        place = generator.random(shape).argsort(axis=1)  # Each question's place in a random order decides its half.
        halves = []
        for first in (0, half):
            weights = np.zeros((shape[0], len(statistics)))
            weights[:, defined] = (place >= first) & (place < first + half)
            halves.append(measure.combine(statistics, weights))
        differences.append((halves[1] - halves[0]) / np.sqrt(2))
    null = np.concatenate(differences)
    null = null[np.isfinite(null)]
    if not len(null):
        return NullSplit(measure.name, None, None, observed, None, splits, origin)
    low, high = np.quantile(null, ((1 - CENTRAL) / 2, (1 + CENTRAL) / 2))
    share = None if observed is None else (1 + int(np.sum(np.abs(null) >= abs(observed)))) / (1 + len(null))
    return NullSplit(measure.name, float(low), float(high), observed, share, splits, origin)
