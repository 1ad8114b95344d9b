"""The residual graph in float64 NumPy, from its definition alone: every destination reads a residual of its own.

One sequence at a time, one head at a time, all source outputs held. An edge's effect is what the loss does when its
destination alone reads a moved residual; its EAP score is the derivative of that, here taken by central differences,
so that nothing of the code under test (taps, gradients, pull-backs, chunks) has a counterpart here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from jaxeap.attribution.batch import Batch
from jaxeap.attribution.graph import EdgeGraph, Level
from jaxeap.models.config import ModelConfig
from jaxeap.models.model import Decoder

Outputs = dict[str, np.ndarray]
"""Source -> what it adds to the residual stream, [T, D]."""
Read = Callable[[str, np.ndarray, Outputs], np.ndarray]
"""(destination, whole residual stream [T, D], outputs written so far) -> what this destination reads, [T, D]."""

STEP = 1e-4
"""Length of a central difference: its error is about STEP^2 of the third derivative and 1e-16 / STEP of rounding."""


def weights_of(model: Decoder) -> Mapping[str, Any]:
    return jax.tree.map(lambda array: np.asarray(array, np.float64), model.weights)


def run(
    weights: Mapping[str, Any],
    config: ModelConfig,
    tokens: Sequence[int] | np.ndarray,
    level: Level,
    read: Read = lambda destination, residual, outputs: residual,
) -> tuple[Outputs, np.ndarray]:
    """Outputs of every source at `level`, and logits [T, V], for one unpadded sequence."""
    residual = weights["embedding"][np.asarray(tokens)]
    outputs = {"embed": residual}

    def read_attention(layer: int, letter: str, node: str) -> np.ndarray:
        return read(f"a{layer}" + (f".{node}" if level == "head" else "") + f"<{letter}>", residual, outputs)

    for layer in range(config.num_layers):
        own = {name: stacked[layer] for name, stacked in weights["layers"].items()}
        heads = _attention(own, config, config.windows[layer], partial(read_attention, layer))
        if level == "head":
            outputs |= {f"a{layer}.h{head}": output for head, output in enumerate(heads)}
        else:
            outputs[f"a{layer}"] = sum(heads)
        residual = residual + sum(heads)
        normed = _norm(read(f"m{layer}", residual, outputs), own["mlp_norm"], config)
        gate = normed @ own["gate"]
        outputs[f"m{layer}"] = (gate / (1 + np.exp(-gate)) * (normed @ own["up"])) @ own["down"]
        residual = residual + outputs[f"m{layer}"]
    normed = _norm(read("logits", residual, outputs), weights["final_norm"], config)
    return outputs, normed @ (weights["embedding"].T if config.tied_embeddings else weights["unembedding"])


def _attention(
    own: Mapping[str, np.ndarray], config: ModelConfig, window: int | None, read: Callable[[str, str], np.ndarray]
) -> list[np.ndarray]:
    """What each head adds to the residual stream, [T, D]; `read` gives the residual by letter and node ("k", "kv0")."""

    def projected(kind: str, node: str, head: int) -> np.ndarray:
        normed = _norm(read(kind[0], f"{node}{head}"), own["attention_norm"], config)
        return normed @ own[kind][:, head] + (own[f"{kind}_bias"][head] if config.qkv_bias else 0.0)

    keys = [_turned(projected("key", "kv", head), config.rope.theta) for head in range(config.num_kv_heads)]
    values = [projected("value", "kv", head) for head in range(config.num_kv_heads)]
    length = len(keys[0])
    distance = np.arange(length)[:, None] - np.arange(length)[None, :]
    visible = (distance >= 0) & (distance < (length if window is None else window))
    outputs = []
    for head in range(config.num_heads):
        query = _turned(projected("query", "h", head), config.rope.theta)
        kv_head = head // (config.num_heads // config.num_kv_heads)
        products = np.where(visible, query @ keys[kv_head].T / np.sqrt(config.head_dim), -np.inf)
        weighted = np.exp(products - products.max(axis=1, keepdims=True))
        outputs.append(weighted / weighted.sum(axis=1, keepdims=True) @ values[kv_head] @ own["output"][head])
    return outputs


def _norm(x: np.ndarray, scale: np.ndarray, config: ModelConfig) -> np.ndarray:
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + config.norm_epsilon) * scale


def _turned(x: np.ndarray, theta: float) -> np.ndarray:
    """Rotary embedding of [T, K]: channels i and i + K/2 are a plane, turned by position * theta^(-2i / K)."""
    half = x.shape[1] // 2
    angles = np.arange(len(x))[:, None] * theta ** (-np.arange(half) / half)
    first, second = x[:, :half], x[:, half:]
    turned = (first * np.cos(angles) - second * np.sin(angles), first * np.sin(angles) + second * np.cos(angles))
    return np.concatenate(turned, axis=1)


class NumpyGraph:
    """One example of a batch on the graph of one level: `outputs` [S, T, D], `loss`, and effects of moved edges."""

    def __init__(self, model: Decoder, level: Level, batch: Batch, example: int):
        self.weights, self.config, self.level = weights_of(model), model.config, level
        self.graph = EdgeGraph.for_config(model.config, level)
        self.tokens = batch.tokens[example][batch.mask[example]]
        self.targets = batch.targets[example][batch.target_mask[example]]
        self.first = int(batch.first[example])
        self.outputs = self.outputs_on(self.tokens)
        self.loss = self.loss_when(lambda destination, residual, outputs: residual)

    def outputs_on(self, tokens: Sequence[int] | np.ndarray) -> np.ndarray:
        """Every source's output in the graph's order, [S, T, D]."""
        outputs, _ = run(self.weights, self.config, tokens, self.level)
        return np.stack([outputs[name] for name in self.graph.sources])

    def loss_when(self, read: Read) -> float:
        """Mean -log p of the counted tokens when destinations read what `read` says."""
        _, logits = run(self.weights, self.config, self.tokens, self.level, read)
        logits = logits[self.first - 1 :][: len(self.targets)]
        log_sums = logits.max(axis=1) + np.log(np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1))
        return float(np.mean(log_sums - logits[np.arange(len(self.targets)), self.targets]))

    def loss_moved(self, destination: str, by: np.ndarray) -> float:
        """Loss when `destination` alone reads the residual moved by [T, D]."""
        return self.loss_when(lambda reader, residual, outputs: residual + by if reader == destination else residual)

    def exact_effect(self, destination: str, delta: np.ndarray) -> float:
        """What patching an edge does to the loss: its destination sees the source moved by delta [T, D]."""
        return self.loss_moved(destination, delta) - self.loss

    def derivative(self, destination: str, delta: np.ndarray) -> float:
        """Derivative of that effect at no patch."""
        if not delta.any():
            return 0.0
        step = STEP / np.linalg.norm(delta)
        return (self.loss_moved(destination, step * delta) - self.loss_moved(destination, -step * delta)) / (2 * step)

    def scores(self, deltas: np.ndarray) -> np.ndarray:
        """EAP scores [S, J] for deltas [S, T, D]."""
        scores = np.zeros(self.graph.mask.shape)
        for row, column in np.argwhere(self.graph.mask):
            scores[row, column] = self.derivative(self.graph.destinations[column], deltas[row])
        return scores
