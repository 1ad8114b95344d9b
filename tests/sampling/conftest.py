"""A tiny decoder with grouped heads, q/k/v bias and tied embeddings, and its next token the slow way."""

from collections.abc import Callable

import numpy as np
import pytest

from jaxeap.models.model import Decoder
from tests.tiny_decoder import tiny_decoder


@pytest.fixture(scope="session")
def model() -> Decoder:
    return tiny_decoder()


@pytest.fixture(scope="session")
def next_logits(model: Decoder) -> Callable[[list[int]], np.ndarray]:
    """Logits after a prefix, from one pass over all of it; the padding keeps it to one compilation."""

    def logits(prefix: list[int]) -> np.ndarray:
        tokens = np.array([prefix + [0] * (16 - len(prefix))], np.int32)
        return np.asarray(model(tokens, np.arange(16)[None] < len(prefix)))[0, len(prefix) - 1].astype(np.float64)

    return logits
