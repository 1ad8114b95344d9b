"""Every metric by part: of the matrix (layers, kinds of nodes, any mask) or of the questions (their difficulty)."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.compare import MetricContrast, compare
from jaxeap.metrics.contrast import in_order
from jaxeap.metrics.diversity import MEMORY_BYTES
from jaxeap.metrics.entries import BoolArray
from jaxeap.metrics.entry_groups import EntryGroup
from jaxeap.metrics.inference.false_discovery import q_values
from jaxeap.metrics.inference.options import InferenceOptions
from jaxeap.metrics.options import MetricOptions
from jaxeap.metrics.paired import PairedStatistics, paired_correlations, paired_statistics
from jaxeap.metrics.stream import ScoreStream, as_stream


@dataclasses.dataclass(frozen=True)
class BreakdownRow:
    """One metric of one member of a breakdown.

    Attributes:
        member: "3" of the layers, "query" of the kinds of destinations, ...
        row: as of the whole.
        q_value: Benjamini-Hochberg over the members, for this metric; None without a p-value.
    """

    member: str
    row: MetricContrast
    q_value: float | None

    def to_json(self, confidence: float) -> dict[str, Any]:
        return {"member": self.member, **self.row.to_json(confidence), "q_value": self.q_value}


def break_down_entries(
    base_scores: npt.NDArray | ScoreStream,
    tuned_scores: npt.NDArray | ScoreStream,
    mask: BoolArray,
    breakdowns: Mapping[str, Mapping[str, BoolArray]],
    options: MetricOptions,
    inference: InferenceOptions,
    memory_bytes: int = MEMORY_BYTES,
) -> dict[str, list[BreakdownRow]]:
    """Every metric over parts of the matrix; always over edges, for structural zeros are not spread evenly.

    With them counted, a later layer would look stronger merely because more sources precede it. A histogram's range is
    its part's own.

    Args:
        base_scores, tuned_scores, mask: as for `contrast`, and checked already (`check_pair`).
        breakdowns: breakdown -> member -> its edges [S, J]; see `entry_groups`.
        options: the open choices of the metrics.
        inference: how differences are judged.
        memory_bytes: see `stream_correlations`.

    Returns:
        Breakdown -> rows, members in their order, metrics in theirs.
    """
    base, tuned = as_stream(base_scores), as_stream(tuned_scores)
    groups: dict[str, EntryGroup | None] = {
        f"{kind}/{member}": EntryGroup.of(mask & edges)
        for kind, members in breakdowns.items()
        for member, edges in members.items()
    }
    statistics = paired_statistics(base, tuned, mask, groups, options)
    singles = compare([pair for pairs in statistics.values() for pair in pairs], inference)
    rows: dict[str, list[MetricContrast]] = {}
    for name, pairs in statistics.items():
        own, singles = singles[: len(pairs)], singles[len(pairs) :]
        # one group at a time, since N x N correlations are the largest thing in memory
        pairwise = paired_correlations(base, tuned, mask, groups[name], options, memory_bytes)
        found = dict(
            zip([pair.measure.name for pair in [*pairs, *pairwise]], own + compare(pairwise, inference), strict=True)
        )
        rows[name] = [found[pair.measure.name] for pair in in_order([*pairs, *pairwise])]
    return {
        kind: _with_q_values({member: rows[f"{kind}/{member}"] for member in members})
        for kind, members in breakdowns.items()
    }


def break_down_examples(
    pairs: Sequence[PairedStatistics], groups: Mapping[str, npt.NDArray], inference: InferenceOptions
) -> list[BreakdownRow]:
    """Every metric over parts of the questions.

    Args:
        pairs: of all questions, from `headline_pairs`.
        groups: member -> places of its questions, or one bool for each question.
        inference: how differences are judged.
    """
    return break_down_pairs(
        {member: [pair.subset(places) for pair in pairs] for member, places in groups.items()}, inference
    )


def break_down_pairs(
    members: Mapping[str, Sequence[PairedStatistics]], inference: InferenceOptions
) -> list[BreakdownRow]:
    """Every metric of members that have statistics of their own.

    Args:
        members: member -> its statistics, from `headline_pairs`.
        inference: how differences are judged.
    """
    return _with_q_values({member: compare(pairs, inference) for member, pairs in members.items()})


def _with_q_values(members: Mapping[str, Sequence[MetricContrast]]) -> list[BreakdownRow]:
    """Q-values over the members, metric by metric."""
    names = list(members)
    by_metric = [q_values([row.p_value for row in rows]) for rows in zip(*members.values(), strict=True)]
    return [
        BreakdownRow(member, row, None if np.isnan(by_metric[metric][place]) else float(by_metric[metric][place]))
        for place, member in enumerate(names)
        for metric, row in enumerate(members[member])
    ]
