"""Information complexity: the entropy of the histogram of |W|."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from jaxeap.metrics.entries import BoolArray, FloatArray, select_entries
from jaxeap.metrics.options import BinRange, Entries


def histogram_uppers(all_scores: Sequence[npt.NDArray], bin_range: BinRange) -> tuple[float, ...]:
    """The upper end of each model's histogram, whose lower end is always 0.

    It is taken from all examples once and stays fixed over resamples: a bin means the same in every resample, and the
    interval does not inherit the jumps of the single largest score.

    Args:
        all_scores: one [N, S, J] array for each model.
        bin_range: "shared": the largest |score| of all models for each of them; "per_model": each model's own.
    """
    uppers = [float(np.abs(scores).max()) for scores in all_scores]
    return tuple(uppers) if bin_range == "per_model" else (max(uppers),) * len(uppers)


def histogram_counts(
    scores: npt.NDArray, mask: BoolArray, entries: Entries = "all", *, bins: int, upper: float
) -> FloatArray:
    """Equal-width histogram of |W| over [0, upper] for each example; pooling examples is adding their counts.

    Args:
        scores: [N, S, J].
        mask: [S, J] bool.
        entries: the matrix entries that count.
        bins: number of bins.
        upper: right edge of the last bin, at least the largest |W|. With 0 every entry falls into the first bin.

    Returns:
        [N, bins] float64, whole numbers.

    Raises:
        ValueError: when `upper` is smaller than the largest |W|, which would drop counts.
    """
    magnitudes = np.abs(select_entries(scores, mask, entries))
    if magnitudes.max() > upper:
        raise ValueError(f"upper is {upper}, but the largest |score| is {magnitudes.max()}: its counts would be lost")
    edges = (0.0, upper or 1.0)
    return np.stack([np.histogram(row, bins=bins, range=edges)[0] for row in magnitudes]).astype(np.float64)


def histogram_entropy(counts: FloatArray, weights: FloatArray) -> FloatArray:
    """Entropy of the pooled histogram, -sum_b p_b ln p_b (arXiv 2509.21044, Eq. 15), in nats.

    The paper writes ln(p_b + eps) to keep ln 0 away. Here 0 ln 0 is 0 as in the limit, which differs from the paper's
    form by less than bins * eps.

    Args:
        counts: [N, bins] from `histogram_counts`.
        weights: [R, N], how often each example counts.

    Returns:
        [R] between 0 and ln(bins); NaN where a row's weights are all zero.
    """
    pooled = weights @ counts
    with np.errstate(invalid="ignore"):
        probabilities = pooled / pooled.sum(axis=1, keepdims=True)
    return entr(probabilities).sum(axis=1)
