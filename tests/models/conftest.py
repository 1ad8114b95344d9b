"""One tiny checkpoint of each family, and the models of the shared reference data, loaded once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from tests.models.numpy_decoder import NumpyTaps, decode
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint

# What windows the attributes of `tiny_checkpoints` mean, layer by layer, independently of the code that reads them.
TINY = {
    "llama": (attributes_of("llama"), (None, None, None)),
    "mistral": (attributes_of("mistral"), (3, 3, 3)),
    "qwen2": (attributes_of("qwen2"), (None, None, 3)),
}
REFERENCE_MODELS = (
    "gemma2_2l",
    "gpt2_2l",
    "llama_gqa_2l",
    "mistral_swa_3l",
    "qwen2_tied_2l",
    "qwen2_untied_3l",
    "qwen2_deep_6l",
    "qwen3_2l",
)


@dataclasses.dataclass(frozen=True)
class TinyModel:
    """A random checkpoint, the decoder loaded from it, and what an independent decoder says about it."""

    folder: Path
    attributes: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    windows: tuple[int | None, ...]
    model: Decoder

    def expected_logits(self, tokens: np.ndarray, taps: NumpyTaps | None = None) -> np.ndarray:
        """[T, V] float64 for unpadded tokens [T]."""
        return decode(self.attributes, self.tensors, self.windows, tokens, taps)

    def random_tokens(self, *shape: int, seed: int = 1) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, self.attributes["vocab_size"], shape, np.int32)


@pytest.fixture(scope="session", params=TINY)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    return make_tiny(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def tiny_qwen2(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """The family with the most of everything: biases, tied embeddings, a window on one layer out of three."""
    return make_tiny("qwen2", tmp_path_factory.mktemp("qwen2_alone"))


def make_tiny(model_type: str, folder: Path) -> TinyModel:
    attributes, windows = TINY[model_type]
    tensors = tensors_of(attributes)
    write_checkpoint(folder, attributes, tensors)
    return TinyModel(folder, attributes, tensors, windows, load_model(folder))


@dataclasses.dataclass(frozen=True)
class ReferenceModel:
    """A model of the shared reference data with its sequences (lists of [length_i]) and Hugging Face's logits."""

    folder: Path
    model: Decoder
    sequences: list[np.ndarray]
    expected_logits: list[np.ndarray]
    padded_inputs: np.ndarray
    padded_mask: np.ndarray
    padded_logits: np.ndarray


@pytest.fixture(scope="session", params=REFERENCE_MODELS)
def reference(request: pytest.FixtureRequest, reference_dir: Path) -> ReferenceModel:
    folder = reference_dir / request.param
    with np.load(folder / "data.npz") as data:
        count = len(data["answer_range"])
        return ReferenceModel(
            folder=folder,
            model=load_model(folder),
            sequences=[data[f"tokens_{index}"] for index in range(count)],
            expected_logits=[data[f"hf_logits_{index}"] for index in range(count)],
            padded_inputs=data["batch_input_ids"],
            padded_mask=data["batch_attention_mask"].astype(bool),
            padded_logits=data["batch_hf_logits"],
        )
