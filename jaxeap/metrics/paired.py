"""Statistics of both models about the same questions: all that inference needs, once the scores have been read."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.diversity import MEMORY_BYTES, stream_correlations
from jaxeap.metrics.entries import BoolArray, FloatArray
from jaxeap.metrics.entry_groups import EntryGroup
from jaxeap.metrics.measures import Measure, measures
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.stream import ScoreStream, per_example
from jaxeap.metrics.weighting import defined_examples


@dataclasses.dataclass(frozen=True, eq=False)
class PairedStatistics:
    """One metric's statistics, example n of base and of tuned being about the same question.

    Attributes:
        measure: which metric.
        base, tuned: [N, ...], or [N, N] of a metric about pairs of examples; zero where not defined.
        defined: [N] bool, examples for which the metric is defined in both models.
        cross: [N, N] between tuned (rows) and base (columns), of a metric about pairs of examples; None otherwise.
    """

    measure: Measure
    base: FloatArray
    tuned: FloatArray
    defined: BoolArray
    cross: FloatArray | None = None

    @classmethod
    def of(
        cls, measure: Measure, base: FloatArray, tuned: FloatArray, cross: FloatArray | None = None
    ) -> "PairedStatistics":
        """From statistics that are NaN where not defined."""
        defined = defined_examples(base) & defined_examples(tuned)
        cross = None if cross is None else np.nan_to_num(cross)
        return cls(measure, np.nan_to_num(base), np.nan_to_num(tuned), defined, cross)

    @property
    def examples(self) -> int:
        """How many the metric is defined for."""
        return int(self.defined.sum())

    def subset(self, places: npt.NDArray) -> "PairedStatistics":
        """Of some of the examples: whole-number places, or one bool for each example."""

        def part(values: FloatArray) -> FloatArray:
            return values[places][:, places] if self.measure.standardise else values[places]

        cross = None if self.cross is None else part(self.cross)
        return PairedStatistics(self.measure, part(self.base), part(self.tuned), self.defined[places], cross)

    def values(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The metric of base and of tuned, [R] each, for weights [R, N]; examples not defined have none."""
        effective = weights * self.defined
        return self.measure.combine(self.base, effective), self.measure.combine(self.tuned, effective)

    def differences(self, weights: FloatArray) -> FloatArray:
        """tuned - base, [R]."""
        base, tuned = self.values(weights)
        return tuned - base


Uppers = tuple[float, float]


def largest_magnitudes(
    base: ScoreStream, tuned: ScoreStream, groups: Mapping[str, EntryGroup | None], options: MetricOptions
) -> dict[str, Uppers]:
    """The upper end of both models' histograms for each group (None is the whole matrix), by `options.bin_range`."""

    def largest(group: EntryGroup | None) -> Callable[[npt.NDArray], npt.NDArray]:
        return lambda scores: np.abs(scores if group is None else group.take(scores)).max(axis=(1, 2))

    functions = [largest(group) for group in groups.values()]
    found = zip(per_example(base, functions), per_example(tuned, functions), strict=True)
    pairs = [(float(one.max()), float(other.max())) for one, other in found]
    if options.bin_range == "shared":
        pairs = [(max(pair), max(pair)) for pair in pairs]
    return dict(zip(groups, pairs, strict=True))


def paired_statistics(
    base: ScoreStream,
    tuned: ScoreStream,
    mask: BoolArray,
    groups: Mapping[str, EntryGroup | None],
    options: MetricOptions,
) -> dict[str, list[PairedStatistics]]:
    """All metrics about single examples, of every group, in two readings of each model's scores.

    Args:
        base, tuned: N examples each.
        mask: [S, J] bool.
        groups: parts of the matrix; None is the whole.
        options: the open choices; of a part, edges alone count.
    """
    uppers = largest_magnitudes(base, tuned, groups, options)
    both = {name: _measures(group, uppers[name], options) for name, group in groups.items()}
    found = []
    for number, stream in enumerate((base, tuned)):
        functions = [
            _on_part(measure, group, mask)
            for name, group in groups.items()
            for measure in both[name][number]
            if measure.standardise is None
        ]
        found.append(iter(per_example(stream, functions)))
    return {
        name: [
            PairedStatistics.of(measure, next(found[0]), next(found[1]))
            for measure in both[name][0]
            if measure.standardise is None
        ]
        for name in groups
    }


def paired_correlations(
    base: ScoreStream,
    tuned: ScoreStream,
    mask: BoolArray,
    group: EntryGroup | None,
    options: MetricOptions,
    memory_bytes: int = MEMORY_BYTES,
) -> list[PairedStatistics]:
    """The metrics about pairs of examples, of one group: 24 N^2 bytes of correlations.

    Args:
        base, tuned, mask, options: as for `paired_statistics`.
        group: part of the matrix; None is the whole.
        memory_bytes: see `stream_correlations`.
    """
    found = []
    part_mask = mask if group is None else group.mask
    for measure in _measures(group, (1.0, 1.0), options)[0]:
        if (standardise := measure.standardise) is None:
            continue

        def vectors(scores: npt.NDArray, standardise: Callable = standardise) -> FloatArray:
            return standardise(scores if group is None else group.take(scores), part_mask)

        def correlations(
            stream: ScoreStream, other: ScoreStream | None = None, vectors: Callable = vectors
        ) -> FloatArray:
            return stream_correlations(stream, vectors, part_mask.size, other=other, memory_bytes=memory_bytes)

        found.append(PairedStatistics.of(measure, correlations(base), correlations(tuned), correlations(tuned, base)))
    return found


def _measures(
    group: EntryGroup | None, uppers: Uppers, options: MetricOptions
) -> tuple[tuple[Measure, ...], tuple[Measure, ...]]:
    if group is not None:
        options = dataclasses.replace(options, entries="edges")
    return measures(options, uppers[0]), measures(options, uppers[1])


def _on_part(measure: Measure, group: EntryGroup | None, mask: BoolArray) -> Callable[[npt.NDArray], npt.NDArray]:
    if group is None:
        return lambda scores: measure.per_example(scores, mask)
    return lambda scores: measure.per_example(group.take(scores), group.mask)
