"""A tiny decoder with grouped heads, q/k/v bias and tied embeddings."""

import pytest

from jaxeap.models.model import Decoder
from tests.tiny_decoder import tiny_decoder


@pytest.fixture(scope="session")
def model() -> Decoder:
    return tiny_decoder()
