"""Random circuits that the tests of running and judging circuits share."""

import numpy as np
import pytest

from jaxeap.attribution.graph import EdgeGraph, Level
from tests.attribution.tiny import TinyModel

SHARES = (0.3, 0.6, 0.9)


def random_circuits(graph: EdgeGraph, seed: int = 0) -> np.ndarray:
    """[5, S, J] bool: all edges, none, and a random 30%, 60% and 90% of them."""
    rng = np.random.default_rng(seed)
    drawn = [graph.mask & (rng.random(graph.mask.shape) < share) for share in SHARES]
    return np.stack([graph.mask, np.zeros_like(graph.mask), *drawn])


@pytest.fixture(scope="session", params=["block", "head"])
def level(request: pytest.FixtureRequest) -> Level:
    return request.param


@pytest.fixture(scope="session")
def graph(tiny: TinyModel, level: Level) -> EdgeGraph:
    return EdgeGraph.for_config(tiny.model.config, level)
