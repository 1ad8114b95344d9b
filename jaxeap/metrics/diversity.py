"""Inter-sample diversity: how differently a model works from one question to the next."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.entries import BoolArray, FloatArray, select_entries
from jaxeap.metrics.options import Correlation, Entries
from jaxeap.metrics.stream import ScoreStream

MEMORY_BYTES = 2**31
"""Of standardised examples that are held at a time, by default."""

_BLOCK = 256
Standardise = Callable[[npt.NDArray], FloatArray]
"""Scores [n, S, J] -> [n, E], see `standardised`."""


def standardised(
    scores: npt.NDArray, mask: BoolArray, entries: Entries = "all", correlation: Correlation = "signed"
) -> FloatArray:
    """Each example's entries less their mean, at length 1: the product of two is their Pearson correlation.

    Args:
        scores: [n, S, J].
        mask: [S, J] bool.
        entries: the matrix entries that count. Structural zeros are equal in every example and pull "all" towards 1.
        correlation: correlate the "signed" scores, or their "absolute" values.

    Returns:
        [n, E] float64; NaN for an example whose entries are all equal.
    """
    values = select_entries(scores, mask, entries)
    if correlation == "absolute":
        values = np.abs(values)
    varied = np.ptp(values, axis=1) > 0
    values[~varied] = np.nan
    values /= np.abs(values).max(axis=1, keepdims=True)  # squares of very small scores would vanish
    values -= values.mean(axis=1, keepdims=True)
    values /= np.sqrt(np.einsum("ne,ne->n", values, values))[:, None]
    return values


def correlation_matrix(
    scores: npt.NDArray, mask: BoolArray, entries: Entries = "all", correlation: Correlation = "signed"
) -> FloatArray:
    """Pearson correlation between the score matrices of every two examples.

    Args:
        scores: [N, S, J].
        mask, entries, correlation: as for `standardised`.

    Returns:
        [N, N] float64; NaN in the row and column of an example whose entries are all equal.
    """

    def standardise(shard: npt.NDArray) -> FloatArray:
        return standardised(shard, mask, entries, correlation)

    varied = np.flatnonzero(np.isfinite(standardise(scores)[:, 0]))
    correlations = np.full((len(scores), len(scores)), np.nan)
    if len(varied):
        found = stream_correlations(ScoreStream.of(scores[varied]), standardise, mask.size)
        correlations[np.ix_(varied, varied)] = found
    return correlations


def stream_correlations(
    stream: ScoreStream,
    standardise: Standardise,
    width: int,
    *,
    other: ScoreStream | None = None,
    memory_bytes: int = MEMORY_BYTES,
) -> FloatArray:
    """Correlations between examples of which only a part fits into memory.

    As many standardised examples as `memory_bytes` hold are kept, and all others pass by them shard by shard. With
    P = ceil(8 N E / memory_bytes) parts the scores are read 2 P times. In memory are a part, a shard, and 8 N^2 bytes.

    Args:
        stream: N examples.
        standardise: scores [n, S, J] -> [n, E].
        width: E, or an upper bound of it.
        other: the same questions in another model; correlations are then between stream (rows) and other (columns).
        memory_bytes: for the part that is kept; at least one example is.

    Returns:
        [N, N] float64, NaN for examples that have none; symmetric unless there is an `other`.
    """
    count = stream.examples
    kept = max(1, min(count, memory_bytes // (8 * width)))
    correlations = np.full((count, count), np.nan)
    undefined = np.zeros((2, count), bool)  # of stream, of other: a product with NaN may warn
    for start in range(0, count, kept):
        rows = np.arange(start, min(start + kept, count))
        block = _gather(stream, standardise, rows)
        undefined[0, rows] = np.isnan(block[:, 0])
        block = np.nan_to_num(block, copy=False)
        for places, scores in (other or stream).shards():
            wanted = places >= (0 if other else start)
            if wanted.any():
                vectors = standardise(scores[wanted])
                undefined[1, places[wanted]] = np.isnan(vectors[:, 0])
                correlations[np.ix_(rows, places[wanted])] = block @ np.nan_to_num(vectors, copy=False).T
        if other is None:
            stop = start + len(rows)
            for first in range(start, count, _BLOCK):  # Not at once, which would copy all of them.
                correlations[first : first + _BLOCK, start:stop] = correlations[start:stop, first : first + _BLOCK].T
    correlations[undefined[0]] = np.nan
    correlations[:, undefined[1]] = np.nan
    return np.clip(correlations, -1, 1, out=correlations)


def diversity(correlations: FloatArray, weights: FloatArray) -> FloatArray:
    """1 - mean pairwise correlation between examples (after arXiv 2509.21044).

    The mean runs over pairs of *different* examples i, j, each pair weighing w_i w_j. A bootstrap resample draws some
    questions more than once; two copies of one question correlate perfectly, and to count such pairs would lower
    every resample's diversity by about 1/N of itself. They are left out, so the resamples centre on the estimate.

    Args:
        correlations: [N, N] from `correlation_matrix`, finite wherever both weights are positive; the diagonal is not
            used.
        weights: [R, N], how often each example counts.

    Returns:
        [R]; NaN where fewer than two different examples have weight.
    """
    between = np.where(np.eye(len(correlations), dtype=bool), 0.0, correlations)
    pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return 1 - ((weights @ between) * weights).sum(axis=1) / pairs


def streamed_diversity(stream: ScoreStream, standardise: Standardise) -> float:
    """The diversity of all examples in one reading and the memory of a shard.

    The sum over all pairs of <z_i, z_j> is |sum_i z_i|^2, of which N are the examples with themselves:

        1 - (|sum_i z_i|^2 - N) / (N (N - 1)).

    Returns:
        NaN where fewer than two examples vary.
    """
    total, count = 0.0, 0
    for _, scores in stream.shards():
        vectors = standardise(scores)
        vectors = vectors[np.isfinite(vectors).all(axis=1)]
        total, count = total + vectors.sum(axis=0), count + len(vectors)
    return 1 - (float(np.dot(total, total)) - count) / (count * (count - 1)) if count > 1 else float("nan")


def diversity_per_example(correlations: FloatArray) -> FloatArray:
    """1 - mean correlation of each example with all others: how far a question is from the rest.

    Args:
        correlations: [N, N]; NaN in the row and column of an example without one.

    Returns:
        [N] float64, whose mean is the diversity; NaN for an example without correlations, or the only one with.
    """
    defined = np.isfinite(np.diagonal(correlations))
    between = np.where(np.eye(len(correlations), dtype=bool) | ~np.isfinite(correlations), 0.0, correlations)
    others = defined.sum() - 1
    return np.where(defined & (others > 0), 1 - between.sum(axis=1) / max(others, 1), np.nan)


def _gather(stream: ScoreStream, standardise: Standardise, rows: npt.NDArray[np.intp]) -> FloatArray:
    """Standardised examples [n, E] of consecutive places, whichever shards they are in."""
    block: FloatArray | None = None
    for places, scores in stream.shards():
        wanted = (places >= rows[0]) & (places <= rows[-1])
        if wanted.any():
            vectors = standardise(scores[wanted])
            if block is None:
                block = np.empty((len(rows), vectors.shape[1]))
            block[places[wanted] - rows[0]] = vectors
    if block is None:
        raise ValueError(f"no shard holds examples {rows[0]} to {rows[-1]}")
    return block
