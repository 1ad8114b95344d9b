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
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.bootstrap import percentile_interval, resample_weights
from jaxeap.metrics.controls.paired import interval_json, paired_statistics
from jaxeap.metrics.entries import BoolArray, FloatArray
from jaxeap.metrics.measures import Measure

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
        intervals: paired bootstrap interval of each part, the same resamples of questions for all cells.
        confidence: of the intervals.
        examples: number of questions for which the metric is defined in all four cells.
    """

    metric: str
    title: str
    cells: dict[str, float | None]
    values: dict[str, float | None]
    intervals: dict[str, tuple[float, float] | None]
    confidence: float
    examples: int

    def to_json(self) -> dict[str, Any]:
        parts = {
            part: {"value": self.values[part], "interval": interval_json(self.intervals[part], self.confidence)}
            for part in PARTS
        }
        return {"metric": self.metric, "title": self.title, "cells": self.cells, **parts, "examples": self.examples}


def cell_statistics(
    scores: npt.NDArray, mask: BoolArray, measures: Sequence[Measure], histogram_upper: float
) -> list[FloatArray]:
    """Statistics of one cell for each metric: [N, ...] float64.

    The histogram's range stays that of the models on their own texts, so that the raw difference is the headline's;
    scores beyond it, which a text of the other model may bring, fall into the last bin.
    """
    clipped = np.clip(scores, -histogram_upper, histogram_upper)
    return [measure.per_example(clipped if measure.name == HISTOGRAM else scores, mask) for measure in measures]


def decompose(
    measure: Measure, statistics: Mapping[str, FloatArray], *, resamples: int, seed: int, confidence: float
) -> Decomposition:
    """Cuts one metric's difference into its parts.

    Args:
        measure: the metric.
        statistics: [N, ...] for each of `CELLS`, example n of all about the same question.
        resamples, seed, confidence: of the bootstrap.
    """
    ready, defined = paired_statistics(*(statistics[cell] for cell in CELLS))
    examples = int(defined.sum())
    values = np.array([measure.combine(each, defined[None])[0] for each in ready])
    if not np.isfinite(values).all():
        nothing = dict.fromkeys(PARTS)
        return Decomposition(
            measure.name, measure.title, dict.fromkeys(CELLS), nothing, dict(nothing), confidence, examples
        )
    intervals: dict[str, tuple[float, float] | None] = dict.fromkeys(PARTS)
    if examples >= measure.fewest_for_interval:
        blocks = [
            parts_of(np.stack([measure.combine(each, weights * defined) for each in ready]))
            for weights in resample_weights(len(defined), resamples, seed)
        ]
        intervals = {
            part: percentile_interval(np.concatenate([block[part] for block in blocks]), confidence) for part in PARTS
        }
    return Decomposition(
        metric=measure.name,
        title=measure.title,
        cells=dict(zip(CELLS, values.tolist(), strict=True)),
        values={part: float(value[0]) for part, value in parts_of(values[:, None]).items()},
        intervals=intervals,
        confidence=confidence,
        examples=examples,
    )


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
