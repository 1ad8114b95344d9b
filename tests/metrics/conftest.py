"""A two-layer block-level graph and heavy-tailed scores on it."""

from typing import NamedTuple

import numpy as np
import pytest


class Graph(NamedTuple):
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    mask: np.ndarray


@pytest.fixture
def graph() -> Graph:
    mask = np.array(
        [
            # a0<q> a0<k> a0<v> m0 a1<q> a1<k> a1<v> m1 logits
            [1, 1, 1, 1, 1, 1, 1, 1, 1],  # embed
            [0, 0, 0, 1, 1, 1, 1, 1, 1],  # a0
            [0, 0, 0, 0, 1, 1, 1, 1, 1],  # m0
            [0, 0, 0, 0, 0, 0, 0, 1, 1],  # a1
            [0, 0, 0, 0, 0, 0, 0, 0, 1],  # m1
        ],
        dtype=bool,
    )
    destinations = ("a0<q>", "a0<k>", "a0<v>", "m0", "a1<q>", "a1<k>", "a1<v>", "m1", "logits")
    return Graph(("embed", "a0", "m0", "a1", "m1"), destinations, mask)


@pytest.fixture
def scores(graph: Graph) -> np.ndarray:
    """[7, 5, 9] float32."""
    generator = np.random.default_rng(5)
    shared = generator.standard_t(3, size=(1, *graph.mask.shape))
    own = generator.standard_t(3, size=(7, *graph.mask.shape))
    return ((shared + own) * graph.mask).astype(np.float32)


@pytest.fixture
def tuned_scores(graph: Graph, scores: np.ndarray) -> np.ndarray:
    """[7, 5, 9] float32: the same questions, somewhat stronger and different."""
    change = np.random.default_rng(6).standard_t(3, size=scores.shape)
    return ((1.3 * scores + 0.5 * change) * graph.mask).astype(np.float32)
