"""Attention probabilities in float64 NumPy, head by head and query by query."""

from __future__ import annotations

import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.models.model import Decoder
from tests.attribution.numpy_graph import NumpyGraph


def mixing_matrices(model: Decoder, batch: Batch, example: int) -> np.ndarray:
    """Half of attention's probabilities, averaged over heads, and half of the identity: [L, T, T] of real tokens."""
    graph, config = NumpyGraph(model, "block", batch, example), model.config
    layers, length, half = graph.weights["layers"], len(graph.tokens), config.head_dim // 2
    turns = np.exp(1j * np.arange(length)[:, None] * config.rope.theta ** (-np.arange(half) / half))

    def projected(x: np.ndarray, layer: int, kind: str, head: int) -> np.ndarray:
        projected = x @ layers[kind][layer][:, head]
        if config.qkv_bias:
            projected = projected + layers[f"{kind}_bias"][layer][head]
        return (projected[:, :half] + 1j * projected[:, half:]) * turns

    matrices = np.zeros((config.num_layers, length, length))
    for layer in range(config.num_layers):
        x = graph.outputs[: 1 + 2 * layer].sum(axis=0)
        x = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + config.norm_epsilon) * layers["attention_norm"][layer]
        window = config.windows[layer] or length
        for head in range(config.num_heads):
            kv_head = head // (config.num_heads // config.num_kv_heads)
            queries, keys = projected(x, layer, "query", head), projected(x, layer, "key", kv_head)
            for position in range(length):
                first = max(0, position - window + 1)
                products = (keys[first : position + 1].conj() @ queries[position]).real / np.sqrt(config.head_dim)
                seen = np.exp(products - products.max())
                matrices[layer, position, first : position + 1] += seen / seen.sum() / config.num_heads
    return 0.5 * matrices + 0.5 * np.eye(length)


def predicting_positions(batch: Batch, example: int) -> range:
    """Positions that predict the counted tokens."""
    return range(batch.first[example] - 1, batch.first[example] - 1 + int(batch.target_mask[example].sum()))
