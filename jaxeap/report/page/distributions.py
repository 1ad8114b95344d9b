"""The distribution of |score| over edges and questions, counted while the scores pass by."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from jaxeap.report.page.content import Questions, ScoredEdges, Shards

PER_DECADE = 10
DECADES = (-14, 6)
MOST_SCORES = 100_000_000
"""Of more than so many scores, those of a part of the questions are counted."""
NEGLIGIBLE = 0.001
"""Share of the scores at the weak end that may lie outside the plot."""

Counts = npt.NDArray[np.int64]


def distribution_data(edges: ScoredEdges, questions: Questions) -> dict[str, Any] | None:
    """Shares of scores by bins of equal logarithmic width, ten to a factor of ten; None where every score is 0."""
    most = max(1, MOST_SCORES // max(1, int(edges.mask.sum())))
    chosen = set(questions.ids[:: max(1, math.ceil(len(questions.ids) / most))])
    counted = {role: count_scores(shards, edges.mask, chosen) for role, shards in
               (("base", questions.base), ("tuned", questions.tuned))}  # fmt: skip
    both = np.sum([counts for counts, _, _ in counted.values()], axis=0)
    filled = np.flatnonzero(both)
    if not len(filled):
        return None
    weak = int(np.searchsorted(np.cumsum(both) / both.sum(), NEGLIGIBLE))
    first, last = min(weak, int(filled[-1])), int(filled[-1])
    return {
        "questions": len(chosen),
        "edges": [float(edge) for edge in bin_edges()[first : last + 2]],
        "models": {
            role: {
                "share": [float(count / number) for count in counts[first : last + 1]],
                "at_least": [
                    float(count / number) for count in counts[first:][::-1].cumsum()[::-1][: last + 1 - first]
                ],
                "zeros": zeros,
                "scores": number,
            }
            for role, (counts, zeros, number) in counted.items()
        },
    }


def bin_edges() -> npt.NDArray[np.float64]:
    """Edges of all bins, in nats."""
    return 10.0 ** (np.arange(PER_DECADE * (DECADES[1] - DECADES[0]) + 1) / PER_DECADE + DECADES[0])


def count_scores(shards: Shards, mask: npt.NDArray[np.bool_], chosen: set[str]) -> tuple[Counts, int, int]:
    """Scores in each bin (beyond the ends: in the outermost), how many are exactly 0, and how many there are."""
    inner = bin_edges()[1:-1]
    counts, zeros, number = np.zeros(len(inner) + 1, np.int64), 0, 0
    for ids, scores in shards():
        rows = [row for row, id_ in enumerate(ids) if id_ in chosen]
        magnitudes = np.abs(scores[rows][:, mask]).ravel().astype(np.float64)
        positive = magnitudes[magnitudes > 0]
        counts += np.bincount(np.searchsorted(inner, positive, side="right"), minlength=len(counts))
        zeros += len(magnitudes) - len(positive)
        number += len(magnitudes)
    return counts, zeros, number
