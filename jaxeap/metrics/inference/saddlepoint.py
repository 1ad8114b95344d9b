"""The sign-flip test of very many means at once: random permutations, and far out a saddlepoint approximation.

A million edges with Benjamini-Hochberg ask for p-values far below what an affordable number of permutations can tell.
The permutation distribution of T = sum_n s_n d_n, s_n = +-1 each with probability 1/2, has the cumulant generating
function K(t) = sum_n ln cosh(t d_n), from which the formula of Lugannani and Rice gives its tail, with a relative error
that stays small far out (Robinson, "Saddlepoint Approximations for Permutation Tests", JRSS B 44, 1982). Near the
centre, where it can be far off when a single question outweighs all others, permutations are counted instead.
"""

import numpy as np
from scipy.special import ndtr

from jaxeap.metrics.entries import BoolArray, FloatArray
from jaxeap.metrics.inference.permutation import sign_patterns

PATTERNS = 2048
FEWEST_HITS = 32
"""Below so many of the random patterns the count says little, and the saddlepoint takes over: p of about 0.015."""
_COLUMNS = 4096
_STEPS = 80
_ROUNDING = 1e-12
_FARTHEST = 1e-9
"""Relative distance of |T| from its largest value, below which only the two extreme patterns are as extreme."""


def sign_flip_p_values(differences: FloatArray, seed: int = 0) -> FloatArray:
    """Two-sided p-values of many paired differences.

    Exact with up to 11 questions; else (b + 1) / (m + 1) with b of m = 2048 random patterns, or where b < 32 the
    saddlepoint approximation (within a factor of 2 with 14 questions and p of 1 in 4000, with more questions closer).

    Args:
        differences: [N, E], of N questions and E edges.
        seed: of the random patterns, which all edges share.

    Returns:
        [E] float64, at least 2^(1 - number of questions with a difference); 1 where all differences are 0.
    """
    parts = [
        _of_columns(differences[:, start : start + _COLUMNS], seed)
        for start in range(0, differences.shape[1], _COLUMNS)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _of_columns(differences: FloatArray, seed: int) -> FloatArray:
    blocks, exact = sign_patterns(len(differences), PATTERNS, seed)
    observed = np.abs(differences.sum(axis=0))
    hits, tried = np.zeros(len(observed), int), 0
    for signs in blocks:
        hits += (np.abs(signs @ differences) >= observed * (1 - _ROUNDING)).sum(axis=0)
        tried += len(signs)
    if exact:
        return hits / tried
    found = (hits + 1) / (tried + 1)
    far = hits < FEWEST_HITS
    found[far] = _far_out(np.abs(differences[:, far]), observed[far])
    return found


def _far_out(magnitudes: FloatArray, observed: FloatArray) -> FloatArray:
    """P(|T| >= observed) in the tail, for [N, E] magnitudes of which no column is zero."""
    spread = np.sqrt((magnitudes**2).sum(axis=0))
    smallest = 2.0 ** (1 - (magnitudes > 0).sum(axis=0))
    found = smallest.copy()
    rest = observed < magnitudes.sum(axis=0) * (1 - _FARTHEST)
    if rest.any():
        tail = 2 * _upper_tail(magnitudes[:, rest] / spread[rest], observed[rest] / spread[rest])
        # the observed pattern and its mirror image count in full, of which a smooth tail holds half
        found[rest] = tail + smallest[rest] / 2
    return np.clip(found, smallest, 1.0)


def _upper_tail(magnitudes: FloatArray, observed: FloatArray) -> FloatArray:
    """P(T >= observed) for [N, E] magnitudes whose squares add up to 1, and [E] observed > 0."""
    point = _saddlepoints(magnitudes, observed)
    tilted = point * magnitudes
    # ln cosh x = |x| + ln(1 + exp(-2 |x|)) - ln 2
    generating = (tilted + np.log1p(np.exp(-2 * tilted)) - np.log(2)).sum(axis=0)
    curvature = (magnitudes**2 * (1 - np.tanh(tilted) ** 2)).sum(axis=0)
    signed_root = np.sqrt(np.maximum(2 * (point * observed - generating), 0))
    scale = point * np.sqrt(curvature)
    usable = (signed_root > 0) & (scale > 0)
    density = np.exp(-(signed_root**2) / 2) / np.sqrt(2 * np.pi)
    correction = np.zeros_like(point)
    correction[usable] = density[usable] * (1 / scale[usable] - 1 / signed_root[usable])
    return np.maximum(ndtr(-signed_root) + correction, 0)


def _saddlepoints(magnitudes: FloatArray, observed: FloatArray) -> FloatArray:
    """t with K'(t) = observed: Newton's method from the left, where K', being concave, is never overshot."""
    point = observed.copy()  # K'(t) <= t since tanh x <= x
    todo: BoolArray = np.ones(len(point), bool)
    for _ in range(_STEPS):
        slope = np.tanh(point[todo] * magnitudes[:, todo])
        excess = observed[todo] - (magnitudes[:, todo] * slope).sum(axis=0)
        curvature = (magnitudes[:, todo] ** 2 * (1 - slope**2)).sum(axis=0)
        step = np.divide(excess, curvature, out=np.zeros_like(excess), where=curvature > 0)
        places = np.flatnonzero(todo)
        point[places] += step
        todo[places[np.abs(step) <= 1e-10 * point[places]]] = False
        if not todo.any():
            break
    return point
