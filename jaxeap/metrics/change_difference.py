"""How much more one run changed than another: the difference of two differences, with an interval over questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxeap.metrics.bootstrap import BLOCK, Interval, percentile_interval, resample_weights
from jaxeap.metrics.compare import interval_to_json
from jaxeap.metrics.entries import FloatArray
from jaxeap.metrics.paired import PairedStatistics

Drawn = Literal["paired", "partly paired", "unpaired"]
METHOD = "percentile"


@dataclasses.dataclass(frozen=True, eq=False)
class RunStatistics:
    """One run's statistics: pairs of base and tuned, example n of each being about question n."""

    questions: tuple[str, ...]
    pairs: tuple[PairedStatistics, ...]


@dataclasses.dataclass(frozen=True)
class ChangeDifference:
    """One metric's change in a run minus its change in the reference run. A value that does not exist is None.

    Attributes:
        name, title: of the metric.
        reference, change: tuned - base of the reference run and of the run, each over its own questions.
        difference: change - reference.
        interval: bootstrap percentile interval of the difference; None with too few questions to resample.
        drawn: whether both runs' questions are the same ("paired"), some of them, or none.
        common: number of questions that both runs have.
        common_difference, common_interval: the same of the common questions alone, where both runs have others too and
            enough are common.
    """

    name: str
    title: str
    reference: float
    change: float
    difference: float
    interval: Interval | None
    drawn: Drawn
    common: int
    common_difference: float | None = None
    common_interval: Interval | None = None

    def to_json(self, confidence: float) -> dict[str, Any]:
        """A plain dictionary."""
        return {
            "metric": self.name,
            "title": self.title,
            "reference": self.reference,
            "change": self.change,
            "difference": self.difference,
            "interval": interval_to_json(self.interval, confidence, METHOD),
            "drawn": self.drawn,
            "common": self.common,
            "common_difference": self.common_difference,
            "common_interval": interval_to_json(self.common_interval, confidence, METHOD),
        }


def change_differences(
    reference: RunStatistics, run: RunStatistics, resamples: int, seed: int, confidence: float
) -> list[ChangeDifference]:
    """How much more each metric changed in `run` than in `reference`.

    The questions fall into three strata: those of both runs, and those of either alone. Each is resampled by itself in
    its own number (Davison and Hinkley 1997, "Bootstrap Methods and their Application", section 3.2), and a question of
    both runs is drawn for both. With the same questions that is the paired bootstrap, in which what a question does to
    both runs alike cancels; with none in common it is the bootstrap of two independent samples.

    Args:
        reference, run: with the same metrics in the same order.
        resamples, seed, confidence: of the bootstrap.

    Returns:
        One for each metric that has a value in both models of both runs.
    """
    shared = set(reference.questions) & set(run.questions)
    common = [id_ for id_ in reference.questions if id_ in shared]
    rests = [[id_ for id_ in each.questions if id_ not in shared] for each in (reference, run)]
    drawn: Drawn = "paired" if not any(rests) else "partly paired" if common else "unpaired"
    one, other = (_ordered(each, common + rest) for each, rest in zip((reference, run), rests, strict=True))
    found = _compared(one, other, (len(common), len(rests[0]), len(rests[1])), resamples, seed, confidence)
    rows = [ChangeDifference(*row, drawn, len(common)) if row else None for row in found]
    if drawn == "partly paired":
        places = np.arange(len(common))
        shares = [[pair.subset(places) for pair in side] for side in (one, other)]
        among = _compared(shares[0], shares[1], (len(common), 0, 0), resamples, seed, confidence)
        rows = [
            dataclasses.replace(row, common_difference=part.difference, common_interval=part.interval)
            if row and part and part.interval
            else row
            for row, part in zip(rows, among, strict=True)
        ]
    return [row for row in rows if row]


class _Compared(NamedTuple):
    """The first fields of a `ChangeDifference`."""

    name: str
    title: str
    reference: float
    change: float
    difference: float
    interval: Interval | None


def _compared(
    reference: Sequence[PairedStatistics],
    run: Sequence[PairedStatistics],
    strata: tuple[int, int, int],
    resamples: int,
    seed: int,
    confidence: float,
) -> list[_Compared | None]:
    """One for each metric; None where a model has no value."""
    points = [[_change(pair) for pair in side] for side in (reference, run)]
    drawn: list[list[FloatArray]] = [[] for _ in reference]
    for weights in _weights(strata, resamples, seed):
        for one, other, blocks in zip(reference, run, drawn, strict=True):
            blocks.append(other.differences(weights[1]) - one.differences(weights[0]))
    found: list[_Compared | None] = []
    for one, other, before, after, blocks in zip(reference, run, *points, drawn, strict=True):
        if not np.isfinite([before, after]).all():
            found.append(None)
            continue
        enough = min(one.examples, other.examples) >= one.measure.fewest_for_interval
        interval = percentile_interval(np.concatenate(blocks), confidence) if enough else None
        found.append(_Compared(one.measure.name, one.measure.title, before, after, after - before, interval))
    return found


def _ordered(run: RunStatistics, questions: Sequence[str]) -> list[PairedStatistics]:
    """The statistics in another order of the same questions, so that equal runs give equal sums to the last bit."""
    place = {id_: number for number, id_ in enumerate(run.questions)}
    places = np.array([place[id_] for id_ in questions])
    return [pair.subset(places) for pair in run.pairs]


def _weights(strata: tuple[int, int, int], resamples: int, seed: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    """How often each question of the reference and of the run is drawn, in blocks [<= 512, N] of resamples.

    Args:
        strata: numbers of common questions, which stand first, and of those of the reference and of the run alone.
        resamples, seed: as for `resample_weights`.
    """
    parts = [resample_weights(size, resamples, seed + number) if size else None for number, size in enumerate(strata)]
    for start in range(0, resamples, BLOCK):
        nothing = np.empty((min(BLOCK, resamples - start), 0))
        common, first, second = (nothing if part is None else next(part) for part in parts)
        yield np.concatenate([common, first], axis=1), np.concatenate([common, second], axis=1)


def _change(pair: PairedStatistics) -> float:
    return float(pair.differences(np.ones((1, len(pair.defined))))[0])
