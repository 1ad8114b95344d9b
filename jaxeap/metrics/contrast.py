"""What changed between two models: every metric of both, and the difference with its interval."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.bootstrap import Interval, check_confidence, percentile_interval, resample_weights
from jaxeap.metrics.complexity import histogram_uppers
from jaxeap.metrics.entries import BoolArray, FloatArray, check_scores
from jaxeap.metrics.measures import Measure, measures
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.weighting import defined_examples


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
    """

    name: str
    title: str
    base: float | None
    tuned: float | None
    difference: float | None
    relative_change: float | None
    interval: Interval | None
    examples: int


@dataclasses.dataclass(frozen=True)
class Contrast:
    """All metrics of a pair of models, with all that is needed to compute them again from the scores."""

    metrics: tuple[MetricContrast, ...]
    examples: int
    options: MetricOptions
    resamples: int
    seed: int
    confidence: float

    def __getitem__(self, name: str) -> MetricContrast:
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(f"no metric {name!r}; there are {', '.join(metric.name for metric in self.metrics)}")

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers; `from_json` reads them back."""
        content = dataclasses.asdict(self)
        content["metrics"] = {metric.pop("name"): metric for metric in content["metrics"]}
        for metric in content["metrics"].values():
            metric["interval"] = None if metric["interval"] is None else list(metric["interval"])
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Contrast":
        metrics = tuple(
            MetricContrast(
                name=name, **fields | {"interval": None if fields["interval"] is None else tuple(fields["interval"])}
            )
            for name, fields in content["metrics"].items()
        )
        return cls(**content | {"metrics": metrics, "options": MetricOptions(**content["options"])})


def contrast(
    base_scores: npt.NDArray,
    tuned_scores: npt.NDArray,
    mask: BoolArray,
    options: MetricOptions | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Contrast:
    """Compares two models on the same questions, example n of one with example n of the other.

    Resampling draws questions, and both models' answers to a drawn question go along together: what a question does
    to both models alike cancels in the difference. The interval is the percentile one. It speaks of other questions of
    the same kind, not of other training runs, and is too narrow when there are only a handful of questions. A question
    for which a metric is undefined in either model (a model so sure of its answer that every score is exactly 0) has
    no weight in that metric; `MetricContrast.examples` tells how many remain.

    Args:
        base_scores, tuned_scores: [N, S, J] float32 or float64, zero where there is no edge.
        mask: [S, J] bool, True where the graph has an edge.
        options: the open choices of the metrics.
        resamples: number of bootstrap resamples.
        seed: seed of the resampling.
        confidence: coverage of the intervals.

    Raises:
        ValueError: scores of different shape, not finite, empty, or non-zero where there is no edge.
    """
    options = options or MetricOptions()
    check_confidence(confidence)
    check_pair(base_scores, tuned_scores, mask)
    uppers = histogram_uppers([base_scores, tuned_scores], options.bin_range)
    both_measures = [measures(options, upper) for upper in uppers]
    pairs = [
        _paired_statistics(base.per_example(base_scores, mask), tuned.per_example(tuned_scores, mask))
        for base, tuned in zip(*both_measures, strict=True)
    ]
    differences: list[list[FloatArray]] = [[] for _ in pairs]
    for weights in resample_weights(len(base_scores), resamples, seed):
        for measure, (base, tuned, defined), blocks in zip(both_measures[0], pairs, differences, strict=True):
            blocks.append(measure.combine(tuned, weights * defined) - measure.combine(base, weights * defined))
    metrics = tuple(
        _metric_contrast(measure, *pair, np.concatenate(blocks), confidence)
        for measure, pair, blocks in zip(both_measures[0], pairs, differences, strict=True)
    )
    return Contrast(metrics, len(base_scores), options, resamples, seed, confidence)


def check_pair(base_scores: npt.NDArray, tuned_scores: npt.NDArray, mask: BoolArray) -> None:
    """`check_scores` of both models, and that they are paired.

    Raises:
        ValueError: as `check_scores`, or when the numbers of examples differ.
    """
    check_scores(base_scores, mask, "base")
    check_scores(tuned_scores, mask, "tuned")
    if len(base_scores) != len(tuned_scores):
        raise ValueError(
            f"base has {len(base_scores)} examples and tuned has {len(tuned_scores)}: they are compared question by "
            "question, so give the scores of the same questions in the same order"
        )


def _paired_statistics(base: FloatArray, tuned: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    defined = defined_examples(base) & defined_examples(tuned)
    return np.nan_to_num(base), np.nan_to_num(tuned), defined.astype(np.float64)


def _metric_contrast(
    measure: Measure,
    base: FloatArray,
    tuned: FloatArray,
    defined: FloatArray,
    differences: FloatArray,
    confidence: float,
) -> MetricContrast:
    examples = int(defined.sum())
    base_value, tuned_value = (float(measure.combine(statistics, defined[None])[0]) for statistics in (base, tuned))
    if not np.isfinite([base_value, tuned_value]).all():
        return MetricContrast(measure.name, measure.title, None, None, None, None, None, examples)
    difference = tuned_value - base_value
    return MetricContrast(
        name=measure.name,
        title=measure.title,
        base=base_value,
        tuned=tuned_value,
        difference=difference,
        relative_change=difference / abs(base_value) if base_value else None,
        interval=percentile_interval(differences, confidence) if examples >= measure.fewest_for_interval else None,
        examples=examples,
    )
