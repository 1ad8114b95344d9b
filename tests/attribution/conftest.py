"""Models and batches that the tests of attribution share."""

from pathlib import Path

import jax
import pytest

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.trace import Trace, run_trace
from tests.attribution.reference_data import REFERENCE_MODELS, ReferenceModel, load_reference
from tests.attribution.tiny import TinyModel, make_tiny, ragged_batch


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """The most of everything: grouped heads, biases, tied embeddings, a window shorter than the inputs on one layer."""
    return make_tiny("qwen2", tmp_path_factory.mktemp("qwen2"))


@pytest.fixture(scope="session")
def tiny_plain(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """No biases, no windows, untied embeddings."""
    return make_tiny("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def batch(tiny: TinyModel) -> Batch:
    """Four ragged examples with corrupted inputs; all tiny models have the same vocabulary."""
    return ragged_batch(tiny.model.config.vocab_size)


@pytest.fixture(scope="session", params=REFERENCE_MODELS)
def reference(request: pytest.FixtureRequest, reference_dir: Path) -> ReferenceModel:
    """Each reference model of the families that the decoder has."""
    return load_reference(reference_dir / request.param)


@pytest.fixture(scope="session")
def trace(tiny: TinyModel, batch: Batch) -> Trace:
    """The trace of the tiny model on the ragged batch."""
    return jax.jit(run_trace, static_argnums=1)(tiny.model.weights, tiny.model.config, batch)
