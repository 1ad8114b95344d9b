"""Differences between two models that were exchanged within questions: what the sign-flip permutation test asks for.

If training changed nothing, it is a coin's toss which of a question's two score matrices is called base and which
tuned. Each function takes both models' statistics and rows of signs, +1 for a question that stays as it is and -1 for
one whose models are exchanged, and gives tuned - base for every row, without looking at the scores again.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import entr

from jaxeap.metrics.entries import FloatArray

Swap = Callable[[FloatArray, FloatArray, FloatArray | None, FloatArray], FloatArray]
"""(base [N, ...], tuned [N, ...], cross [N, N] of pairwise statistics, signs [M, N]) -> differences [M]."""


def swapped_mean(base: FloatArray, tuned: FloatArray, cross: FloatArray | None, signs: FloatArray) -> FloatArray:
    """Of means of statistics [N]: the mean of the signed differences."""
    return signs @ (tuned - base) / len(base)


def swapped_median(base: FloatArray, tuned: FloatArray, cross: FloatArray | None, signs: FloatArray) -> FloatArray:
    """Of medians of statistics [N]."""
    stays = signs > 0
    return np.median(np.where(stays, tuned, base), axis=1) - np.median(np.where(stays, base, tuned), axis=1)


def swapped_entropy(base: FloatArray, tuned: FloatArray, cross: FloatArray | None, signs: FloatArray) -> FloatArray:
    """Of the entropies of pooled histograms [N, bins]. With a range per model a bin goes along with its counts."""
    middle, half = (base + tuned).sum(axis=0) / 2, signs @ ((tuned - base) / 2)
    return _entropy(middle + half) - _entropy(middle - half)


def swapped_diversity(base: FloatArray, tuned: FloatArray, cross: FloatArray | None, signs: FloatArray) -> FloatArray:
    """Of the diversities from correlations [N, N]: a signed sum of one term for each question.

    Let z_b, z_t be the questions' standardised scores in base and tuned, and u the sum over the one mixed set, v the
    sum over the other. The difference of the sums over pairs is |v|^2 - |u|^2 = <v - u, v + u>, where v + u is the sum
    of all scores whatever the signs, and v - u = sum_i s_i (z_ti - z_bi). Exchanges therefore need no correlations of
    mixed sets, only sums of rows of

        c_ij = <z_ti, z_tj> - <z_bi, z_bj> + <z_ti, z_bj> - <z_bi, z_tj>.

    Args:
        base, tuned: [N, N] correlations within either model.
        cross: [N, N] correlations of tuned (rows) with base (columns).
        signs: [M, N].
    """
    if cross is None:
        raise ValueError("exchanging models within pairs of questions needs the correlations between the models")
    terms = tuned - base + cross - cross.T
    terms[np.diag_indices_from(terms)] = 0.0
    count = len(base)
    return -(signs @ terms.sum(axis=1)) / (count * (count - 1))


def _entropy(counts: FloatArray) -> FloatArray:
    return entr(counts / counts.sum(axis=1, keepdims=True)).sum(axis=1)
