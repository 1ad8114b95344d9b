"""From statistics of both models to one row of the table: values, difference, interval, p-value, effect size."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxeap.metrics.bootstrap import Interval, left_out_weights, percentile_interval, resample_weights
from jaxeap.metrics.entries import FloatArray
from jaxeap.metrics.inference.bca import bca_interval
from jaxeap.metrics.inference.effect_size import hedges_g, pseudo_values, robust_effect
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.inference.permutation import permutation_p_value
from jaxeap.metrics.paired import PairedStatistics

ROUNDING = 1e-11
"""Relative to the metric's size: differences of permuted models that are no further apart are equal."""


@dataclasses.dataclass(frozen=True)
class MetricContrast:
    """One metric of both models. A value that does not exist is None, never NaN.

    Attributes:
        name: key of the metric.
        title: its name for tables.
        base, tuned: the metric of each model over the same questions.
        difference: tuned - base.
        relative_change: difference / |base|; None when base is 0.
        interval: paired bootstrap interval of the difference; None with too few questions to resample.
        examples: the number of questions that count: those for which the metric is defined in both models.
        method: "bca" or "percentile", what the interval is.
        p_value: of the sign-flip permutation test by question, two-sided; None without a test.
        effect_size: see `jaxeap.metrics.inference.effect_size`; None where the questions do not scatter.
    """

    name: str
    title: str
    base: float | None
    tuned: float | None
    difference: float | None
    relative_change: float | None
    interval: Interval | None
    examples: int
    method: str | None = None
    p_value: float | None = None
    effect_size: float | None = None

    def to_json(self, confidence: float) -> dict[str, Any]:
        """A plain dictionary, "metric" being the name; `from_json` reads it back."""
        return {
            "metric": self.name,
            "title": self.title,
            "base": self.base,
            "tuned": self.tuned,
            "difference": self.difference,
            "relative_change": self.relative_change,
            "interval": interval_to_json(self.interval, confidence, self.method),
            "p_value": self.p_value,
            "effect_size": self.effect_size,
            "examples": self.examples,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "MetricContrast":
        bounds = content["interval"] or {}
        return cls(
            name=content["metric"],
            **{key: content[key] for key in ("title", "base", "tuned", "difference", "relative_change", "examples")},
            **{key: content[key] for key in ("p_value", "effect_size")},
            interval=(bounds["low"], bounds["high"]) if bounds else None,
            method=bounds.get("method"),
        )


def interval_to_json(interval: Interval | None, confidence: float, method: str | None) -> dict[str, Any] | None:
    """{"low", "high", "confidence", "method"}, or None."""
    if interval is None:
        return None
    return {"low": interval[0], "high": interval[1], "confidence": confidence, "method": method}


def compare(pairs: Sequence[PairedStatistics], options: InferenceOptions) -> list[MetricContrast]:
    """One row for each; all see the same resamples and the same permutations.

    Args:
        pairs: of the same N examples.
        options: how differences are judged.
    """
    if not pairs:
        return []
    count = len(pairs[0].base)
    resampled: list[list[FloatArray]] = [[] for _ in pairs]
    for weights in resample_weights(count, options.resamples, options.seed):
        for pair, blocks in zip(pairs, resampled, strict=True):
            blocks.append(pair.differences(weights))
    return [_row(pair, np.concatenate(blocks), options) for pair, blocks in zip(pairs, resampled, strict=True)]


def left_out_differences(pair: PairedStatistics) -> FloatArray:
    """tuned - base with one defined example left out, for each of them: [number of defined examples]."""
    blocks = [pair.differences(weights) for weights in left_out_weights(pair.defined)]
    return np.concatenate(blocks) if blocks else np.empty(0)


def _row(pair: PairedStatistics, resampled: FloatArray, options: InferenceOptions) -> MetricContrast:
    measure, examples = pair.measure, pair.examples
    base, tuned = (float(value[0]) for value in pair.values(np.ones((1, len(pair.defined)))))
    if not np.isfinite([base, tuned]).all():
        return MetricContrast(measure.name, measure.title, None, None, None, None, None, examples)
    difference = tuned - base
    interval = method = p_value = effect = None
    if examples >= measure.fewest_for_interval:
        left_out = left_out_differences(pair)
        # the jackknife says nothing of a median, which it moves from one of two values to the other
        bca = options.method == "bca" and measure.centre != "median"
        if bca and (found := bca_interval(difference, resampled, left_out, options.confidence)):
            interval, method = found
        elif (plain := percentile_interval(resampled, options.confidence)) is not None:
            interval, method = plain, "percentile"
        effect = _effect(pair, difference, left_out)
        if options.permutations:
            p_value = _p_value(pair, max(abs(base), abs(tuned)), options)
    return MetricContrast(
        name=measure.name,
        title=measure.title,
        base=base,
        tuned=tuned,
        difference=difference,
        relative_change=difference / abs(base) if base else None,
        interval=interval,
        examples=examples,
        method=method,
        p_value=p_value,
        effect_size=effect,
    )


def _p_value(pair: PairedStatistics, size: float, options: InferenceOptions) -> float:
    whole = pair.subset(pair.defined)

    def difference(signs: FloatArray) -> FloatArray:
        return pair.measure.swap(whole.base, whole.tuned, whole.cross, signs)

    return permutation_p_value(
        difference, pair.examples, options.permutations, options.seed, rounding=ROUNDING * max(size, 1e-300)
    )


def _effect(pair: PairedStatistics, difference: float, left_out: FloatArray) -> float | None:
    if difference == 0 and not np.ptp(left_out):
        return None
    if pair.measure.centre == "pooled" or pair.base.ndim > 1:
        return hedges_g(pseudo_values(difference, left_out)) if np.isfinite(left_out).all() else None
    differences = (pair.tuned - pair.base)[pair.defined]
    return robust_effect(differences) if pair.measure.centre == "median" else hedges_g(differences)
