"""Scores as a three-layer block-level model gives them, and their finished contrast."""

from typing import NamedTuple

import numpy as np
import pytest

from jaxeap.metrics import Contrast, LayerIntensity, contrast, layer_intensity
from jaxeap.metrics.stream import ScoreStream


class Finished(NamedTuple):
    base_scores: np.ndarray
    tuned_scores: np.ndarray
    mask: np.ndarray
    sources: tuple[str, ...]
    destinations: tuple[str, ...]
    contrast: Contrast
    layers: tuple[LayerIntensity, ...]


def shards_of(scores: np.ndarray) -> ScoreStream:
    """The scores as they come from disk: a few examples at a time, in another order."""
    order = np.random.default_rng(1).permutation(len(scores))
    return ScoreStream(len(scores), lambda: ((places, scores[places]) for places in np.array_split(order, 3)))


@pytest.fixture(scope="session")
def finished() -> Finished:
    sources, written = ["embed"], [0]
    destinations, read = [], []
    for layer in range(3):
        sources += [f"a{layer}", f"m{layer}"]
        written += [2 * layer + 1, 2 * layer + 2]
        destinations += [f"a{layer}<q>", f"a{layer}<k>", f"a{layer}<v>", f"m{layer}"]
        read += [2 * layer + 1] * 3 + [2 * layer + 2]
    mask = np.array(written)[:, None] < np.array([*read, 7])
    generator = np.random.default_rng(0)
    strength = 0.003 * generator.lognormal(size=mask.shape)
    base = strength * generator.standard_t(3, size=(12, *mask.shape)) * mask
    tuned = 1.2 * base + 0.3 * strength * generator.standard_t(3, size=base.shape) * mask
    base, tuned = base.astype(np.float32), tuned.astype(np.float32)
    names = tuple(sources), (*destinations, "logits")
    layers = layer_intensity(base, tuned, mask, names[1], resamples=200)
    return Finished(base, tuned, mask, *names, contrast(base, tuned, mask, resamples=200), layers)
