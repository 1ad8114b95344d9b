"""Differences that are paired by question, and how they are written down."""

from typing import Any

import numpy as np

from jaxeap.metrics.bootstrap import Interval
from jaxeap.metrics.compare import MetricContrast, compare
from jaxeap.metrics.entries import FloatArray
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.measures import Measure
from jaxeap.metrics.paired import PairedStatistics
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


def difference_row(
    measure: Measure, base: FloatArray, tuned: FloatArray, *, resamples: int, seed: int, confidence: float
) -> Row:
    """Tuned minus base of one metric, with a paired BCa bootstrap interval as the contrast's.

    Args:
        measure: the metric.
        base, tuned: [N, ...] its statistics, example n of both about the same question.
        resamples, seed, confidence: of the bootstrap; the draws are those of `contrast` with the same seed.
    """
    options = InferenceOptions(resamples, seed, confidence, permutations=0)
    (row,) = compare([PairedStatistics.of(measure, base, tuned)], options)
    return metric_row(row, confidence)


def metric_row(metric: MetricContrast, confidence: float) -> Row:
    """A metric of a contrast as a row."""
    return metric.to_json(confidence)


def interval_json(interval: Interval | None, confidence: float, method: str = "percentile") -> dict[str, Any] | None:
    """An interval with what it is of."""
    if interval is None:
        return None
    return {"low": interval[0], "high": interval[1], "confidence": confidence, "method": method}
