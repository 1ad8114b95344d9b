"""What changed between two models: every metric of both, and the difference with its interval and test."""

import dataclasses
from typing import Any

import numpy.typing as npt

from jaxeap.metrics.compare import MetricContrast, compare
from jaxeap.metrics.diversity import MEMORY_BYTES
from jaxeap.metrics.entries import BoolArray
from jaxeap.metrics.inference.options import InferenceOptions, Method
from jaxeap.metrics.measures import measures
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.paired import PairedStatistics, paired_correlations, paired_statistics
from jaxeap.metrics.stream import ScoreStream, as_stream, check_stream

__all__ = ["Contrast", "MetricContrast", "check_pair", "contrast", "contrast_of_pairs", "headline_pairs"]


@dataclasses.dataclass(frozen=True)
class Contrast:
    """All metrics of a pair of models, with all that is needed to compute them again from the scores."""

    metrics: tuple[MetricContrast, ...]
    examples: int
    options: MetricOptions
    resamples: int
    seed: int
    confidence: float
    method: str = "percentile"
    permutations: int = 0

    def __getitem__(self, name: str) -> MetricContrast:
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise KeyError(f"no metric {name!r}; there are {', '.join(metric.name for metric in self.metrics)}")

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries, lists and numbers; `from_json` reads them back."""
        return {
            "metrics": {metric.name: metric.to_json(self.confidence) for metric in self.metrics},
            "examples": self.examples,
            "options": self.options.to_json(),
            "resamples": self.resamples,
            "seed": self.seed,
            "confidence": self.confidence,
            "method": self.method,
            "permutations": self.permutations,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Contrast":
        metrics = tuple(MetricContrast.from_json(row) for row in content["metrics"].values())
        return cls(**content | {"metrics": metrics, "options": MetricOptions(**content["options"])})


def contrast(
    base_scores: npt.NDArray | ScoreStream,
    tuned_scores: npt.NDArray | ScoreStream,
    mask: BoolArray,
    options: MetricOptions | None = None,
    *,
    resamples: int = 10_000,
    seed: int = 0,
    confidence: float = 0.95,
    method: Method = "bca",
    permutations: int = 10_000,
) -> Contrast:
    """Compares two models on the same questions, example n of one with example n of the other.

    Resampling draws questions, and both models' answers to a drawn question go along together: what a question does
    to both models alike cancels in the difference. The interval speaks of other questions of the same kind, not of
    other training runs, and is too narrow when there are only a handful of questions. A question for which a metric is
    undefined in either model (a model so sure of its answer that every score is exactly 0) has no weight in that
    metric; `MetricContrast.examples` tells how many remain.

    Args:
        base_scores, tuned_scores: [N, S, J] float32 or float64, zero where there is no edge; or streams of them.
        mask: [S, J] bool, True where the graph has an edge.
        options: the open choices of the metrics.
        resamples, seed, confidence, method, permutations: see `InferenceOptions`.

    Raises:
        ValueError: scores of different shape, not finite, empty, or non-zero where there is no edge.
    """
    options = options or MetricOptions()
    inference = InferenceOptions(resamples, seed, confidence, method, permutations)
    check_pair(base_scores, tuned_scores, mask)
    return contrast_of_pairs(headline_pairs(base_scores, tuned_scores, mask, options), options, inference)


def headline_pairs(
    base_scores: npt.NDArray | ScoreStream,
    tuned_scores: npt.NDArray | ScoreStream,
    mask: BoolArray,
    options: MetricOptions,
    memory_bytes: int = MEMORY_BYTES,
) -> list[PairedStatistics]:
    """Every metric's statistics over whole matrices, in the order of `measures`; arguments as of `contrast`."""
    base, tuned = as_stream(base_scores), as_stream(tuned_scores)
    found = paired_statistics(base, tuned, mask, {"": None}, options)[""]
    found += paired_correlations(base, tuned, mask, None, options, memory_bytes)
    return in_order(found)


def in_order(pairs: list[PairedStatistics]) -> list[PairedStatistics]:
    """Sorted as `measures` lists them."""
    place = {measure.name: number for number, measure in enumerate(measures(MetricOptions(), 1.0))}
    return sorted(pairs, key=lambda pair: place[pair.measure.name])


def contrast_of_pairs(pairs: list[PairedStatistics], options: MetricOptions, inference: InferenceOptions) -> Contrast:
    """The contrast of statistics from `headline_pairs`."""
    return Contrast(
        tuple(compare(pairs, inference)),
        len(pairs[0].defined),
        options,
        inference.resamples,
        inference.seed,
        inference.confidence,
        inference.method,
        inference.permutations,
    )


def check_pair(
    base_scores: npt.NDArray | ScoreStream, tuned_scores: npt.NDArray | ScoreStream, mask: BoolArray
) -> None:
    """`check_scores` of both models, and that they are paired.

    Raises:
        ValueError: as `check_scores`, or when the numbers of examples differ.
    """
    base, tuned = as_stream(base_scores), as_stream(tuned_scores)
    check_stream(base, mask, "base")
    check_stream(tuned, mask, "tuned")
    if base.examples != tuned.examples:
        raise ValueError(
            f"base has {base.examples} examples and tuned has {tuned.examples}: they are compared question by "
            "question, so give the scores of the same questions in the same order"
        )
