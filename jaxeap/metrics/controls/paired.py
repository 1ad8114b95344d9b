"""Differences that are paired by question, and how they are written down."""

from typing import Any

import numpy as np

from jaxeap.metrics.bootstrap import Interval, percentile_interval, resample_weights
from jaxeap.metrics.contrast import MetricContrast
from jaxeap.metrics.entries import FloatArray
from jaxeap.metrics.measures import Measure
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
    """Tuned minus base of one metric, with a paired percentile bootstrap interval.

    Args:
        measure: the metric.
        base, tuned: [N, ...] its statistics, example n of both about the same question.
        resamples, seed, confidence: of the bootstrap; the draws are those of `contrast` with the same seed.
    """
    (base, tuned), defined = paired_statistics(base, tuned)
    examples = int(defined.sum())
    base_value, tuned_value = (float(measure.combine(each, defined[None])[0]) for each in (base, tuned))
    if not np.isfinite([base_value, tuned_value]).all():
        return _row(measure.name, measure.title, None, None, None, examples)
    interval = None
    if examples >= measure.fewest_for_interval:
        draws = [
            measure.combine(tuned, weights * defined) - measure.combine(base, weights * defined)
            for weights in resample_weights(len(base), resamples, seed)
        ]
        interval = interval_json(percentile_interval(np.concatenate(draws), confidence), confidence)
    return _row(measure.name, measure.title, base_value, tuned_value, interval, examples)


def metric_row(metric: MetricContrast, confidence: float) -> Row:
    """A metric of a contrast as a row."""
    row = _row(metric.name, metric.title, metric.base, metric.tuned, None, metric.examples)
    return row | {"interval": interval_json(metric.interval, confidence)}


def interval_json(interval: Interval | None, confidence: float, method: str = "percentile") -> dict[str, Any] | None:
    """An interval with what it is of."""
    if interval is None:
        return None
    return {"low": interval[0], "high": interval[1], "confidence": confidence, "method": method}


def _row(
    name: str,
    title: str,
    base: float | None,
    tuned: float | None,
    interval: dict[str, Any] | None,
    examples: int,
) -> Row:
    difference = None if base is None or tuned is None else tuned - base
    return {
        "metric": name,
        "title": title,
        "base": base,
        "tuned": tuned,
        "difference": difference,
        "relative_change": difference / abs(base) if base and difference is not None else None,
        "interval": interval,
        "p_value": None,
        "effect_size": None,
        "examples": examples,
    }
