"""Tiny random decoders and ragged batches on which every path of attribution is exercised."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder
from tests.models.numpy_decoder import NumpyTaps, decode
from tests.models.tiny_checkpoints import attributes_of, tensors_of, write_checkpoint

WINDOWS: Mapping[str, tuple[int | None, ...]] = {"qwen2": (None, None, 3), "llama": (None, None, None)}
LENGTHS = (9, 6, 12, 4)
COUNTED = ((4, 8), (1, 4), (8, 12), (2, 4))


@dataclasses.dataclass(frozen=True)
class TinyModel:
    """A random decoder of three layers (6 query and 2 key/value heads) and an independent one with its tensors."""

    attributes: Mapping[str, Any]
    tensors: Mapping[str, np.ndarray]
    windows: tuple[int | None, ...]
    model: Decoder

    def expected_logits(self, tokens: np.ndarray, taps: NumpyTaps | None = None) -> np.ndarray:
        """[T, V] float64 for unpadded tokens [T]."""
        return decode(self.attributes, self.tensors, self.windows, tokens, taps)


def make_tiny(model_type: str, folder: Path) -> TinyModel:
    """ "qwen2": biases, tied embeddings, a window on the last layer; "llama": none of these."""
    attributes = attributes_of(model_type)
    tensors = tensors_of(attributes)
    write_checkpoint(folder, attributes, tensors)
    return TinyModel(attributes, tensors, WINDOWS[model_type], load_model(folder))


def ragged_sequences(vocab_size: int, seed: int = 3) -> list[list[int]]:
    """Of LENGTHS; the padding value 0 is a real token in the middle and at the end of the second."""
    rng = np.random.default_rng(seed)
    sequences = [rng.integers(1, vocab_size, length).tolist() for length in LENGTHS]
    sequences[1][1] = sequences[1][2] = 0
    return sequences


def ragged_batch(vocab_size: int, **arguments: Any) -> Batch:
    """Four examples of different lengths, with corrupted inputs."""
    corrupted = ragged_sequences(vocab_size, seed=4)
    return Batch.from_sequences(ragged_sequences(vocab_size), COUNTED, corrupted=corrupted, **arguments)
