"""Model or text? Each model on each model's text, and the difference cut into a part of either.

A model is scored on the answer that it wrote, so two models differ in what they computed and in what they were given.
With X_y the metric of model X on the text of model y (B, b: base; T, t: tuned):

    raw         = T_t - B_b                                 what the headline says
    model       = ((T_t - B_t) + (T_b - B_b)) / 2           another model, the same text, averaged over the texts
    text        = ((T_t - T_b) + (B_t - B_b)) / 2           another text, the same model, averaged over the models
    interaction = (T_t - B_t) - (T_b - B_b)                 how far the model's part depends on the text

raw = model + text. These are the Shapley values of two players, the one symmetric way of sharing out the difference.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.bootstrap import left_out_weights, resample_weights
from jaxeap.metrics.controls.paired import bootstrap_interval, paired_statistics, statistics_of
from jaxeap.metrics.diversity import MEMORY_BYTES
from jaxeap.metrics.entries import BoolArray, FloatArray
from jaxeap.metrics.inference.options import Method
from jaxeap.metrics.measures import Measure
from jaxeap.metrics.stream import ScoreStream

CELLS = ("base_on_base", "base_on_tuned", "tuned_on_base", "tuned_on_tuned")
"""Model, and the model whose text it is scored on."""
PARTS = ("raw", "model", "text", "interaction")
HISTOGRAM = "complexity"
"""The metric whose range is fixed beforehand, by the models on their own texts."""


@dataclasses.dataclass(frozen=True)
class Decomposition:
    """One metric's difference in its parts.

    Attributes:
        metric, title: of the metric.
        cells: its value in each of `CELLS`; None where it is undefined.
        values: of each of `PARTS`.
        intervals: paired bootstrap interval of each part with "low", "high", "confidence" and "method", the same
            resamples of questions for all cells.
        examples: number of questions for which the metric is defined in all four cells.
    """

    metric: str
    title: str
    cells: dict[str, float | None]
    values: dict[str, float | None]
    intervals: dict[str, dict[str, Any] | None]
    examples: int

    def to_json(self) -> dict[str, Any]:
        parts = {part: {"value": self.values[part], "interval": self.intervals[part]} for part in PARTS}
        return {"metric": self.metric, "title": self.title, "cells": self.cells, **parts, "examples": self.examples}


def cell_statistics(
    scores: npt.NDArray | ScoreStream,
    mask: BoolArray,
    measures: Sequence[Measure],
    histogram_upper: float,
    memory_bytes: int = MEMORY_BYTES,
) -> list[FloatArray]:
    """Statistics of one cell for each metric: [N, ...] float64.

    The histogram's range stays that of the models on their own texts, so that the raw difference is the headline's;
    scores beyond it, which a text of the other model may bring, fall into the last bin.
    """

    def clipped(measure: Measure) -> Measure:
        if measure.name != HISTOGRAM:
            return measure
        return dataclasses.replace(
            measure,
            per_example=lambda scores, mask: measure.per_example(
                np.clip(scores, -histogram_upper, histogram_upper), mask
            ),
        )

    return statistics_of(scores, mask, [clipped(measure) for measure in measures], memory_bytes)


def decompose(
    measure: Measure,
    statistics: Mapping[str, FloatArray],
    *,
    resamples: int,
    seed: int,
    confidence: float,
    method: Method = "bca",
) -> Decomposition:
    """Cuts one metric's difference into its parts.

    Args:
        measure: the metric.
        statistics: [N, ...] for each of `CELLS`, example n of all about the same question.
        resamples, seed, confidence, method: of the bootstrap, as of the contrast.
    """
    ready, defined = paired_statistics(*(statistics[cell] for cell in CELLS))
    examples = int(defined.sum())

    def parts(blocks: Iterable[FloatArray]) -> dict[str, FloatArray]:
        found = [parts_of(np.stack([measure.combine(each, weights * defined) for each in ready])) for weights in blocks]
        return {part: np.concatenate([block[part] for block in found]) for part in PARTS}

    cells = np.array([measure.combine(each, defined[None])[0] for each in ready])
    if not np.isfinite(cells).all():
        nothing = dict.fromkeys(PARTS)
        return Decomposition(measure.name, measure.title, dict.fromkeys(CELLS), nothing, dict(nothing), examples)
    values = {part: float(value[0]) for part, value in parts_of(cells[:, None]).items()}
    intervals: dict[str, dict[str, Any] | None] = dict.fromkeys(PARTS)
    if examples >= measure.fewest_for_interval:
        if measure.centre == "median":  # Of which the jackknife says nothing, as in the contrast.
            method = "percentile"
        resampled = parts(resample_weights(len(defined), resamples, seed))
        left_out = parts(left_out_weights(defined > 0)) if method == "bca" else dict.fromkeys(PARTS, np.empty(0))
        intervals = {
            part: bootstrap_interval(values[part], resampled[part], left_out[part], confidence, method)
            for part in PARTS
        }
    of_cell: dict[str, float | None] = dict(zip(CELLS, cells.tolist(), strict=True))
    return Decomposition(measure.name, measure.title, of_cell, dict(values), intervals, examples)


def parts_of(cells: FloatArray) -> dict[str, FloatArray]:
    """The parts, from a metric's values [4, R] in the order of `CELLS`."""
    base_base, base_tuned, tuned_base, tuned_tuned = cells
    raw = tuned_tuned - base_base
    model = ((tuned_tuned - base_tuned) + (tuned_base - base_base)) / 2
    # Not by the formula of its own: so the parts add up to the raw difference beyond the last digit.
    return {
        "raw": raw,
        "model": model,
        "text": raw - model,
        "interaction": (tuned_tuned - base_tuned) - (tuned_base - base_base),
    }
