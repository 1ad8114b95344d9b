"""Scores shard by shard: what does not fit into memory is read as often as it is needed, a few examples at a time."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.entries import BoolArray, FloatArray, check_scores

Shard = tuple[npt.NDArray[np.intp], npt.NDArray]
"""Places [n] of the examples among all, and their scores [n, S, J] float32 or float64."""


@dataclasses.dataclass(frozen=True, eq=False)
class ScoreStream:
    """The scores of N examples, of which only a shard is in memory at a time.

    Attributes:
        examples: N.
        shards: begins a new reading; every reading gives each of the places 0 .. N - 1 once, in the same shards.
    """

    examples: int
    shards: Callable[[], Iterator[Shard]]

    @classmethod
    def of(cls, scores: npt.NDArray) -> "ScoreStream":
        """An array [N, S, J] that is in memory anyway, as one shard."""
        return cls(len(scores), lambda: iter([(np.arange(len(scores)), scores)]))


def as_stream(scores: "npt.NDArray | ScoreStream") -> ScoreStream:
    return scores if isinstance(scores, ScoreStream) else ScoreStream.of(scores)


def check_stream(stream: ScoreStream, mask: BoolArray, owner: str) -> None:
    """`check_scores` of every shard, and that every example is there once.

    Raises:
        ValueError: as `check_scores`, or when an example is missing or comes twice.
    """
    seen = np.zeros(stream.examples, int)
    for places, scores in stream.shards():
        check_scores(scores, mask, owner, places)
        np.add.at(seen, places, 1)
    if stream.examples == 0:
        raise ValueError(f"{owner} scores hold no examples: nothing to measure; loosen the selection of questions")
    if (seen != 1).any():
        wrong = int(np.flatnonzero(seen != 1)[0])
        raise ValueError(f"{owner} scores hold example {wrong} {seen[wrong]} times; every question is scored once")


def per_example(stream: ScoreStream, statistics: Sequence[Callable[[npt.NDArray], npt.NDArray]]) -> list[FloatArray]:
    """Statistics of every example in one reading.

    Args:
        stream: N examples.
        statistics: functions [n, S, J] -> [n, ...] of each example alone.

    Returns:
        One [N, ...] float64 array for each.
    """
    if not statistics:
        return []
    found: list[FloatArray | None] = [None] * len(statistics)
    for places, scores in stream.shards():
        for number, statistic in enumerate(statistics):
            values = statistic(scores)
            whole = found[number]
            if whole is None:
                whole = found[number] = np.full((stream.examples, *values.shape[1:]), np.nan)
            whole[places] = values
    return [values for values in found if values is not None]
