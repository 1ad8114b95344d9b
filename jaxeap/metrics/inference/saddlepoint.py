"""The sign-flip test of a mean without random permutations: its p-value by saddlepoint approximation.

A million edges with Benjamini-Hochberg ask for p-values far below what an affordable number of permutations can tell.
The permutation distribution of T = sum_n s_n d_n, s_n = +-1 each with probability 1/2, has the cumulant generating
function K(t) = sum_n ln cosh(t d_n), from which the formula of Lugannani and Rice gives its tail, with a relative error
that stays small far out (Robinson, "Saddlepoint Approximations for Permutation Tests", JRSS B 44, 1982).
"""

import numpy as np
from scipy.special import ndtr

from jaxeap.metrics.entries import BoolArray, FloatArray

_STEPS = 80
_NEAR_CENTRE = 0.05
"""In standard deviations of T: nearer than this the formula is 0 / 0, and the normal distribution is as good."""
_FARTHEST = 1e-9
"""Relative distance of |T| from its largest value, below which only the two extreme patterns are as extreme."""


def sign_flip_p_values(differences: FloatArray) -> FloatArray:
    """Two-sided p-values of many paired differences.

    Args:
        differences: [N, E], of N questions and E edges.

    Returns:
        [E] float64, at least 2^(1 - number of questions with a difference); 1 where all differences are 0.
    """
    magnitudes = np.abs(differences)
    observed, largest = np.abs(differences.sum(axis=0)), magnitudes.sum(axis=0)
    spread = np.sqrt((magnitudes**2).sum(axis=0))
    smallest = 2.0 ** (1 - (magnitudes > 0).sum(axis=0))
    found = np.ones(len(observed))
    near = (spread > 0) & (observed <= _NEAR_CENTRE * spread)
    found[near] = 2 * ndtr(-observed[near] / spread[near])
    extreme = (spread > 0) & (observed >= largest * (1 - _FARTHEST))
    found[extreme] = smallest[extreme]
    rest = (spread > 0) & ~near & ~extreme
    if rest.any():
        scaled = magnitudes[:, rest] / spread[rest]
        found[rest] = 2 * _upper_tail(scaled, observed[rest] / spread[rest])
    return np.clip(found, np.minimum(smallest, 1.0), 1.0)


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
