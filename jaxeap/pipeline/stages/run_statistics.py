"""A run's statistics from the scores in its folder, to hold its changes against another run's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jaxeap.metrics import MetricOptions
from jaxeap.metrics.change_difference import RunStatistics
from jaxeap.metrics.contrast import headline_pairs
from jaxeap.metrics.controls import CLAIMED_METRICS
from jaxeap.metrics.diversity import MEMORY_BYTES
from jaxeap.pipeline.scoring.score_stream import stream_of
from jaxeap.pipeline.stages.attribute import OWN_TEXT, nodes_of


def run_statistics(
    scored: Path, questions: Sequence[str], options: MetricOptions, memory_bytes: int = MEMORY_BYTES
) -> RunStatistics:
    """Of the claimed metrics, base and tuned each on its own text.

    Args:
      scored: folder of the finished stage `attribute`.
      questions: ids of the selected questions.
      options, memory_bytes: as of `headline_pairs`.
    """
    base, tuned = (stream_of(scored / cell.name, questions) for cell in OWN_TEXT)
    pairs = headline_pairs(base, tuned, nodes_of(scored).mask, options, memory_bytes)
    return RunStatistics(tuple(questions), tuple(pair for pair in pairs if pair.measure.name in CLAIMED_METRICS))
