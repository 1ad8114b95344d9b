"""Differences that are paired by question, and how they are written down."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.bootstrap import percentile_interval
from jaxeap.metrics.compare import MetricContrast, compare, interval_to_json
from jaxeap.metrics.diversity import MEMORY_BYTES, stream_correlations
from jaxeap.metrics.entries import BoolArray, FloatArray
from jaxeap.metrics.inference.bca import bca_interval
from jaxeap.metrics.inference.options import InferenceOptions, Method
from jaxeap.metrics.measures import Measure
from jaxeap.metrics.paired import PairedStatistics
from jaxeap.metrics.stream import ScoreStream, as_stream, per_example
from jaxeap.metrics.weighting import defined_examples

Row = dict[str, Any]
"""One metric of both models in plain numbers, None where there is no such number; `metric_row` has the keys."""


def paired_statistics(*statistics: FloatArray) -> tuple[list[FloatArray], FloatArray]:
    """Statistics [N, ...] of the same questions under several conditions, made ready for weighting.

    Returns:
        The statistics without NaN, and [N] float64: 1 where the metric is defined under all conditions, else 0.
    """
    defined = np.logical_and.reduce([defined_examples(each) for each in statistics])
    return [np.nan_to_num(each) for each in statistics], defined.astype(np.float64)


def statistics_of(
    scores: npt.NDArray | ScoreStream,
    mask: BoolArray,
    measures: Sequence[Measure],
    memory_bytes: int = MEMORY_BYTES,
) -> list[FloatArray]:
    """Statistics of one model for each metric: [N, ...] float64, [N, N] of a metric about pairs of examples.

    Args:
        scores: [N, S, J], in memory or as a stream.
        mask: [S, J] bool.
        measures: which metrics.
        memory_bytes: see `stream_correlations`.
    """
    stream = as_stream(scores)

    def on_mask(function: Callable[[npt.NDArray, BoolArray], FloatArray]) -> Callable[[npt.NDArray], FloatArray]:
        return lambda shard: function(shard, mask)

    singles = iter(
        per_example(stream, [on_mask(measure.per_example) for measure in measures if measure.standardise is None])
    )
    return [
        next(singles)
        if measure.standardise is None
        else stream_correlations(stream, on_mask(measure.standardise), mask.size, memory_bytes=memory_bytes)
        for measure in measures
    ]


def difference_row(
    measure: Measure,
    base: FloatArray,
    tuned: FloatArray,
    *,
    resamples: int,
    seed: int,
    confidence: float,
    method: Method = "bca",
) -> Row:
    """Tuned minus base of one metric, with a paired bootstrap interval as the contrast's.

    Args:
        measure: the metric.
        base, tuned: [N, ...] its statistics, example n of both about the same question.
        resamples, seed, confidence, method: of the bootstrap; the draws are those of `contrast` with the same seed.
    """
    options = InferenceOptions(resamples, seed, confidence, method, permutations=0)
    (row,) = compare([PairedStatistics.of(measure, base, tuned)], options)
    return metric_row(row, confidence)


def metric_row(metric: MetricContrast, confidence: float) -> Row:
    """A metric of a contrast as a row."""
    return metric.to_json(confidence)


def bootstrap_interval(
    observed: float, resampled: FloatArray, left_out: FloatArray, confidence: float, method: Method
) -> dict[str, Any] | None:
    """The interval of a value by resampling questions, with its level and what it is; None where there is none.

    Args:
        observed: the value.
        resampled: [R], of the resamples.
        left_out: with one question left out, of each in turn; see `bca_interval`.
        confidence: between 0 and 1.
        method: "bca", where it is defined, or "percentile".
    """
    if method == "bca" and (found := bca_interval(observed, resampled, left_out, confidence)):
        return interval_to_json(found[0], confidence, found[1])
    return interval_to_json(percentile_interval(resampled, confidence), confidence, "percentile")
