"""What changed edge by edge: mean strength in both models, difference with interval, p-value and q-value."""

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.entries import BoolArray
from jaxeap.metrics.inference.false_discovery import q_values
from jaxeap.metrics.inference.mean_interval import mean_intervals
from jaxeap.metrics.inference.saddlepoint import sign_flip_p_values
from jaxeap.metrics.stream import ScoreStream, as_stream

MEMORY_BYTES = 2**29
"""Of scores of some edges over all questions, by default; working space comes to about four times as much."""

Matrix = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class EdgeContrast:
    """One [S, J] float32 matrix for each quantity, NaN where there is no edge.

    Attributes:
        base, tuned: mean |score| over questions, in nats.
        base_signed, tuned_signed: mean score.
        difference: tuned - base of mean |score|.
        low, high: interval of the difference, see `mean_intervals`; NaN with a single question.
        p_value: sign-flip test by question of the difference, see `sign_flip_p_values`.
        q_value: Benjamini-Hochberg over all edges.
    """

    base: Matrix
    tuned: Matrix
    base_signed: Matrix
    tuned_signed: Matrix
    difference: Matrix
    low: Matrix
    high: Matrix
    p_value: Matrix
    q_value: Matrix

    def arrays(self) -> dict[str, Matrix]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def edge_contrast(
    base_scores: npt.NDArray | ScoreStream,
    tuned_scores: npt.NDArray | ScoreStream,
    mask: BoolArray,
    *,
    confidence: float = 0.95,
    memory_bytes: int = MEMORY_BYTES,
    advance: Callable[[int], None] = lambda edges: None,
) -> EdgeContrast:
    """Compares two models edge by edge. Scores are read once for as many edges as fit into memory over all questions.

    Args:
        base_scores, tuned_scores, mask: as for `contrast`, and checked already (`check_pair`).
        confidence: coverage of the intervals, of each edge by itself.
        memory_bytes: for the scores of the edges at hand.
        advance: is told how many edges are done.
    """
    base, tuned = as_stream(base_scores), as_stream(tuned_scores)
    edges = np.flatnonzero(mask)
    size = max(1, memory_bytes // (16 * base.examples))
    found: dict[str, list[npt.NDArray]] = {field.name: [] for field in dataclasses.fields(EdgeContrast)}
    for start in range(0, len(edges), size):
        chosen = edges[start : start + size]
        one, other = (_of_edges(stream, chosen) for stream in (base, tuned))
        found["base_signed"].append(one.mean(axis=0))
        found["tuned_signed"].append(other.mean(axis=0))
        np.abs(one, out=one)
        np.abs(other, out=other)
        found["base"].append(one.mean(axis=0))
        found["tuned"].append(other.mean(axis=0))
        differences = np.subtract(other, one, out=other)
        found["difference"].append(differences.mean(axis=0))
        low, high = mean_intervals(differences, confidence)
        found["low"].append(low)
        found["high"].append(high)
        found["p_value"].append(sign_flip_p_values(differences))
        advance(len(chosen))
    whole = {name: np.concatenate(parts) for name, parts in found.items() if parts}
    whole["q_value"] = q_values(whole["p_value"])
    return EdgeContrast(**{name: _matrix(values, edges, mask) for name, values in whole.items()})


def _of_edges(stream: ScoreStream, edges: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """[N, len(edges)] float64."""
    values = np.empty((stream.examples, len(edges)))
    for places, scores in stream.shards():
        values[places] = scores.reshape(len(scores), -1)[:, edges]
    return values


def _matrix(values: npt.NDArray, edges: npt.NDArray[np.intp], mask: BoolArray) -> Matrix:
    matrix = np.full(mask.shape, np.nan, np.float32)
    matrix.ravel()[edges] = values
    return matrix
