"""The difference again under the choices that the metrics' definitions leave open, one changed at a time."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_args

import numpy.typing as npt

from jaxeap.metrics.complexity import histogram_uppers
from jaxeap.metrics.controls.paired import Row, difference_row
from jaxeap.metrics.entries import BoolArray
from jaxeap.metrics.measures import measures
from jaxeap.metrics.options import BinRange, Correlation, Entries, KurtosisDefinition, MetricOptions

CLAIMED_METRICS = ("intensity", "complexity", "kurtosis", "diversity")
"""Those of which the paper claims something."""
AFFECTED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "entries": CLAIMED_METRICS,
        "bins": ("complexity",),
        "bin_range": ("complexity",),
        "kurtosis": ("kurtosis",),
        "correlation": ("diversity",),
    }
)
"""Which of them a choice moves."""


def sensitivity(
    base_scores: npt.NDArray,
    tuned_scores: npt.NDArray,
    mask: BoolArray,
    options: MetricOptions,
    *,
    resamples: int,
    seed: int,
    confidence: float,
) -> list[dict[str, Any]]:
    """The claimed metrics under every value of every choice, the others as they are.

    Returns:
        {"setting": "metrics.bins", "value": 50, "default": whether that is the run's own value, "rows": rows of the
        metrics that the choice moves}, for half, once and twice the bins, and every value of the other choices.
    """
    bootstrap: dict[str, Any] = {"resamples": resamples, "seed": seed, "confidence": confidence}
    unchanged = {
        row["metric"]: row
        for row in difference_rows(base_scores, tuned_scores, mask, options, CLAIMED_METRICS, **bootstrap)
    }
    found = []
    for setting, value in _values(options):
        default = getattr(options, setting) == value
        if default:
            rows = [unchanged[metric] for metric in AFFECTED[setting]]
        else:
            changed = dataclasses.replace(options, **{setting: value})
            rows = difference_rows(base_scores, tuned_scores, mask, changed, AFFECTED[setting], **bootstrap)
        found.append({"setting": f"metrics.{setting}", "value": value, "default": default, "rows": rows})
    return found


def difference_rows(
    base_scores: npt.NDArray,
    tuned_scores: npt.NDArray,
    mask: BoolArray,
    options: MetricOptions,
    metrics: Sequence[str],
    *,
    resamples: int,
    seed: int,
    confidence: float,
) -> list[Row]:
    """Rows of some metrics only; arguments as of `contrast`."""
    both = [measures(options, upper) for upper in histogram_uppers([base_scores, tuned_scores], options.bin_range)]
    return [
        difference_row(
            of_base,
            of_base.per_example(base_scores, mask),
            of_tuned.per_example(tuned_scores, mask),
            resamples=resamples,
            seed=seed,
            confidence=confidence,
        )
        for of_base, of_tuned in zip(*both, strict=True)
        if of_base.name in metrics
    ]


def _values(options: MetricOptions) -> list[tuple[str, Any]]:
    bins = sorted({max(2, options.bins // 2), options.bins, 2 * options.bins})
    return [
        *(("entries", value) for value in get_args(Entries)),
        *(("bins", value) for value in bins),
        *(("bin_range", value) for value in get_args(BinRange)),
        *(("kurtosis", value) for value in get_args(KurtosisDefinition)),
        *(("correlation", value) for value in get_args(Correlation)),
    ]
