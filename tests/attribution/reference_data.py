"""The shared reference scores: what published PyTorch code gives on tiny random models (see the data's own README)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.models.config import ModelConfig
from jaxeap.models.load import load_model
from jaxeap.models.model import Decoder

FAMILIES = ("gemma2", "gpt2", "llama", "mistral", "qwen2", "qwen3")
REFERENCE_MODELS = (
    "gemma2_2l",
    "gpt2_2l",
    "llama_gqa_2l",
    "mistral_swa_3l",
    "qwen2_deep_6l",
    "qwen2_tied_2l",
    "qwen2_untied_3l",
    "qwen3_2l",
)

REFERENCE_SAMPLE = [
    name if name in ("mistral_swa_3l", "qwen2_tied_2l") else pytest.param(name, marks=pytest.mark.slow)
    for name in REFERENCE_MODELS
    if name != "gemma2_2l"  # whose reference heads are taken before the norm that follows them
]
"""All of them for methods of many passes, whose compilation takes long: two always, the others with the slow tests."""


@dataclasses.dataclass(frozen=True)
class ReferenceModel:
    """A decoder, its examples as one batch (with corrupted inputs), and where its reference arrays are."""

    folder: Path
    model: Decoder
    batch: Batch

    def layer_array(self, name: str) -> np.ndarray:
        """An array of layer_scores.npz, such as "scores_f64" [N, S, J] of the block-level graph, "loss_f64" [N]."""
        with np.load(self.folder / "layer_scores.npz") as arrays:
            return arrays[name]

    def head_array(self, name: str) -> np.ndarray:
        """An array of head_scores.npz, such as "eap_zero", as [N, S, J] of the head-level graph."""
        with np.load(self.folder / "head_scores.npz") as arrays:
            return group_kv_columns(arrays[name], self.model.config)

    def names(self, level: Level) -> tuple[list[str], list[str]]:
        """The sources and destinations that the files name; head-level destinations stand for ungrouped columns."""
        with np.load(self.folder / ("layer_scores.npz" if level == "block" else "head_scores.npz")) as arrays:
            return [str(name) for name in arrays["src_names"]], [str(name) for name in arrays["dst_names"]]


def load_reference(folder: Path) -> ReferenceModel:
    with np.load(folder / "data.npz") as data:
        ranges, longest = data["answer_range"], int(data["cut_len"])
        batch = Batch.from_sequences(
            [data[f"tokens_{index}"] for index in range(len(ranges))],
            [(int(start), int(min(end, start + longest))) for start, end in ranges],
            corrupted=[data[f"corrupted_ids_{index}"] for index in range(len(ranges))],
        )
    return ReferenceModel(folder, load_model(folder), batch)


def group_kv_columns(scores: np.ndarray, config: ModelConfig) -> np.ndarray:
    """[N, S, 3 H per layer ...] -> [N, S, J]: the k and v columns of query heads that share a kv head are added up.

    The reference code gives each query head a private copy of its key/value head; the model has one, whose gradient
    is the sum over the copies.
    """
    heads, kv_heads = config.num_heads, config.num_kv_heads
    columns, at = [], 0

    def take(count: int) -> np.ndarray:
        nonlocal at
        at += count
        return scores[..., at - count : at]

    for _ in range(config.num_layers):
        columns.append(take(heads))
        for _ in ("key", "value"):
            grouped = take(heads).reshape(*scores.shape[:-1], kv_heads, heads // kv_heads)
            columns.append(grouped.sum(axis=-1))
        columns.append(take(1))
    columns.append(take(1))
    assert at == scores.shape[-1], "the columns are not those of this model's heads"
    grouped = np.concatenate(columns, axis=-1)
    assert grouped.shape[-2:] == EdgeGraph.for_config(config, "head").mask.shape
    return grouped
