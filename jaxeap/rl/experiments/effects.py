"""Changes of the metrics averaged over seeds, with intervals over seeds and questions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxeap.metrics.bootstrap import Interval
from jaxeap.rl.experiments.comparison import Changes
from jaxeap.rl.experiments.seed_bootstrap import seed_interval

SIGNED = ("kurtosis",)
"""Metrics that can be below 0; of every other one the relative change is at least -1."""


@dataclasses.dataclass(frozen=True)
class Effect:
    """One metric's change in one condition.

    Attributes:
      metric, title: of the metric.
      seeds: seed -> its relative change; seeds without one are left out.
      relative: mean over seeds of difference / |base|; None where there is none.
      interval: of it.
      difference: mean over seeds of tuned - base.
      difference_interval: of it.
      beyond: mean over seeds of the relative change minus that of the control of the same seed; None without control.
      beyond_interval: of it.
    """

    metric: str
    title: str
    seeds: dict[str, float]
    relative: float | None
    interval: Interval | None
    difference: float | None
    difference_interval: Interval | None
    beyond: float | None = None
    beyond_interval: Interval | None = None

    def rising(self) -> int:
        """In how many seeds the metric went up."""
        return sum(change > 0 for change in self.seeds.values())

    def falling(self) -> int:
        """In how many seeds the metric went down."""
        return sum(change < 0 for change in self.seeds.values())

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries and numbers."""
        return dataclasses.asdict(self)


def effects(
    by_seed: Mapping[str, Changes | None],
    control: Mapping[str, Changes | None] | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Effect]:
    """Each metric's effect.

    Args:
      by_seed: seed -> changes of the condition; None where they are missing.
      control: seed -> changes of a condition that it is held against, seed by seed.
      confidence: of the intervals.
      seed: of the resampling of seeds; that of questions stands in the changes.
    """
    present = {name: found for name, found in by_seed.items() if found is not None}
    held = {name: found for name, found in (control or {}).items() if found is not None}
    titles = {metric: title for found in present.values() for metric, title in found.title.items()}
    result = {}
    for metric, title in titles.items():
        having = {name: found for name, found in present.items() if found.base.get(metric)}
        points = {name: relative_change(found, metric) for name, found in having.items()}
        paired = [name for name in having if name in held and held[name].base.get(metric)]
        # Resamples are put against others of the control, so that their questions vary independently; the two share
        # most questions and the base, so the interval is rather too wide than too narrow.
        beyond_draws = [having[name].relative[metric] - np.roll(held[name].relative[metric], 1) for name in paired]
        beyond = [points[name] - relative_change(held[name], metric) for name in paired]
        raw = [found.tuned[metric] - found.base[metric] for found in having.values()]
        relative = seed_interval(
            list(points.values()), [found.relative[metric] for found in having.values()], confidence, seed
        )
        result[metric] = Effect(
            metric,
            title,
            seeds=points,
            relative=_mean(list(points.values())),
            interval=_possible(metric, relative),
            difference=_mean(raw),
            difference_interval=seed_interval(
                raw, [found.difference[metric] for found in having.values()], confidence, seed
            ),
            beyond=_mean(beyond),
            beyond_interval=seed_interval(beyond, beyond_draws, confidence, seed),
        )
    return result


def relative_change(found: Changes, metric: str) -> float:
    """(tuned - base) / |base| of the questions as they are."""
    return (found.tuned[metric] - found.base[metric]) / abs(found.base[metric])


def _possible(metric: str, interval: Interval | None) -> Interval | None:
    """An interval of relative changes, without what no change can be."""
    if interval is None or metric in SIGNED:
        return interval
    return max(interval[0], -1.0), interval[1]


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
