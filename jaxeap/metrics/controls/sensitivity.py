"""The difference again under the choices that the metrics' definitions leave open, one changed at a time."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, get_args

import numpy.typing as npt

from jaxeap.metrics.controls.paired import Row, difference_row, statistics_of
from jaxeap.metrics.diversity import MEMORY_BYTES
from jaxeap.metrics.entries import BoolArray
from jaxeap.metrics.inference.options import Method
from jaxeap.metrics.measures import measures
from jaxeap.metrics.options import BinRange, Correlation, Entries, KurtosisDefinition, MetricOptions
from jaxeap.metrics.paired import largest_magnitudes
from jaxeap.metrics.stream import ScoreStream, as_stream

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
    base_scores: npt.NDArray | ScoreStream,
    tuned_scores: npt.NDArray | ScoreStream,
    mask: BoolArray,
    options: MetricOptions,
    *,
    resamples: int,
    seed: int,
    confidence: float,
    method: Method = "bca",
    memory_bytes: int = MEMORY_BYTES,
) -> list[dict[str, Any]]:
    """The claimed metrics under every value of every choice, the others as they are.

    Returns:
        {"setting": "metrics.bins", "value": 50, "default": whether that is the run's own value, "rows": rows of the
        metrics that the choice moves}, for half, once and twice the bins, and every value of the other choices.
    """
    bootstrap: dict[str, Any] = {
        "resamples": resamples,
        "seed": seed,
        "confidence": confidence,
        "method": method,
        "memory_bytes": memory_bytes,
    }
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
    base_scores: npt.NDArray | ScoreStream,
    tuned_scores: npt.NDArray | ScoreStream,
    mask: BoolArray,
    options: MetricOptions,
    metrics: Sequence[str],
    *,
    resamples: int,
    seed: int,
    confidence: float,
    method: Method = "bca",
    memory_bytes: int = MEMORY_BYTES,
) -> list[Row]:
    """Rows of some metrics only; arguments as of `contrast`."""
    streams = as_stream(base_scores), as_stream(tuned_scores)
    uppers = (1.0, 1.0)  # The histogram's alone, and they take a reading.
    if "complexity" in metrics:
        uppers = largest_magnitudes(streams[0], streams[1], {"": None}, options)[""]
    both = [[measure for measure in measures(options, upper) if measure.name in metrics] for upper in uppers]
    statistics = [statistics_of(*each, memory_bytes) for each in zip(streams, (mask, mask), both, strict=True)]
    return [
        difference_row(measure, base, tuned, resamples=resamples, seed=seed, confidence=confidence, method=method)
        for measure, base, tuned in zip(both[0], *statistics, strict=True)
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
