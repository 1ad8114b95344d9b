"""Resampling of questions with replacement, and percentile intervals."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from jaxeap.metrics.entries import FloatArray

Interval = tuple[float, float]

# keeps one block of [resamples, N] weights at a few tens of megabytes even for N = 10,000
BLOCK = 512
"""Rows of a block of resamples."""


def resample_indices(examples: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Draws N of N questions with replacement, `resamples` times, in blocks of rows: each [<= 512, N].

    The same arguments give the same draws, so every metric and every layer sees the same resamples.

    Raises:
        ValueError: when there is nothing to draw from, or fewer than one resample is asked for.
    """
    if examples < 1 or resamples < 1:
        raise ValueError(f"resampling needs at least one example and one resample; got {examples} and {resamples}")
    generator = np.random.default_rng(seed)
    for start in range(0, resamples, BLOCK):
        yield generator.integers(0, examples, size=(min(BLOCK, resamples - start), examples))


def resample_weights(examples: int, resamples: int, seed: int) -> Iterator[FloatArray]:
    """How often each question was drawn in each resample: blocks of [<= 512, N] float64, every row adding up to N."""
    for indices in resample_indices(examples, resamples, seed):
        rows = np.arange(len(indices))[:, None] * examples
        counts = np.bincount((indices + rows).ravel(), minlength=indices.size)
        yield counts.reshape(indices.shape).astype(np.float64)


def left_out_weights(defined: npt.NDArray[np.bool_]) -> Iterator[FloatArray]:
    """Weights that leave one defined question out, each of them in turn: blocks of [<= 512, N] float64."""
    places = np.flatnonzero(defined)
    for start in range(0, len(places), BLOCK):
        chosen = places[start : start + BLOCK]
        weights = np.ones((len(chosen), len(defined)))
        weights[np.arange(len(chosen)), chosen] = 0
        yield weights


def percentile_interval(values: FloatArray, confidence: float) -> Interval | None:
    """The central `confidence` part of the resampled values (Efron's percentile interval).

    Args:
        values: [R]; resamples without a value (NaN) are left out.
        confidence: between 0 and 1.

    Returns:
        (low, high), or None when no resample has a value.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)


def check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; give a number between 0 and 1, such as 0.95")
