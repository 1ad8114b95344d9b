"""An independent decoder in float64 NumPy, one sequence, head and query at a time, fed with Hugging Face tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass
class NumpyTaps:
    """What is added to one sequence's queries [L, T, H, K], keys, values [L, T, G, K], MLP and final residuals."""

    query: np.ndarray
    key: np.ndarray
    value: np.ndarray
    mlp: np.ndarray
    final: np.ndarray

    @classmethod
    def zeros(cls, attributes: Mapping[str, Any], length: int) -> NumpyTaps:
        layered = (attributes["num_hidden_layers"], length)
        heads, kv_heads = attributes["num_attention_heads"], attributes["num_key_value_heads"]
        width, head_dim = attributes["hidden_size"], attributes["head_dim"]
        return cls(
            query=np.zeros((*layered, heads, head_dim)),
            key=np.zeros((*layered, kv_heads, head_dim)),
            value=np.zeros((*layered, kv_heads, head_dim)),
            mlp=np.zeros((*layered, width)),
            final=np.zeros((length, width)),
        )


def decode(
    attributes: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    windows: Sequence[int | None],
    tokens: Sequence[int],
    taps: NumpyTaps | None = None,
) -> np.ndarray:
    """Logits [T, V] float64.

    Args:
      attributes: of config.json.
      tensors: under Hugging Face's names; a bias is used if it is there, and without lm_head embeddings are tied.
      windows: of each layer.
      tokens: [T], all real.
      taps: added where `jaxeap.models.taps` says.
    """
    weights = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    heads, kv_heads = attributes["num_attention_heads"], attributes["num_key_value_heads"]
    head_dim, theta, length = attributes["head_dim"], attributes["rope_theta"], len(tokens)
    taps = taps or NumpyTaps.zeros(attributes, length)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        root = np.sqrt((x**2).mean(axis=-1, keepdims=True) + attributes["rms_norm_eps"])
        return x / root * weights[f"{name}.weight"]

    def project(x: np.ndarray, name: str, count: int, tap: np.ndarray) -> np.ndarray:
        projected = x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0)
        return projected.reshape(length, count, head_dim) + tap

    x = weights["model.embed_tokens.weight"][np.asarray(tokens)]
    for layer, window in enumerate(windows):
        prefix = f"model.layers.{layer}."
        normed = norm(x, prefix + "input_layernorm")
        query = _rotate(project(normed, prefix + "self_attn.q_proj", heads, taps.query[layer]), theta)
        key = _rotate(project(normed, prefix + "self_attn.k_proj", kv_heads, taps.key[layer]), theta)
        value = project(normed, prefix + "self_attn.v_proj", kv_heads, taps.value[layer])
        mixed = np.zeros((length, heads, head_dim))
        for head in range(heads):
            kv_head = head // (heads // kv_heads)
            for position in range(length):
                first = 0 if window is None else max(0, position - window + 1)
                seen = slice(first, position + 1)
                mixed[position, head] = attend_one(query[position, head], key[seen, kv_head], value[seen, kv_head])
        x = x + mixed.reshape(length, -1) @ weights[prefix + "self_attn.o_proj.weight"].T
        normed = norm(x + taps.mlp[layer], prefix + "post_attention_layernorm")
        gate = normed @ weights[prefix + "mlp.gate_proj.weight"].T
        up = normed @ weights[prefix + "mlp.up_proj.weight"].T
        x = x + (gate / (1 + np.exp(-gate)) * up) @ weights[prefix + "mlp.down_proj.weight"].T
    unembedding = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    return norm(x + taps.final, "model.norm") @ unembedding.T


def attend_one(query: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Softmax attention of one query [K] over keys and values [S, K]."""
    products = keys @ query / np.sqrt(len(query))
    exponentials = np.exp(products - products.max())
    return exponentials @ values / exponentials.sum()


def next_token_loss(logits: np.ndarray, tokens: Sequence[int]) -> float:
    """Mean of -log p(token | what precedes it) over all tokens but the first."""
    logits = logits[:-1]
    highest = logits.max(axis=-1)
    log_sums = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=-1))
    return float(np.mean(log_sums - logits[np.arange(len(logits)), np.asarray(tokens)[1:]]))


def _rotate(x: np.ndarray, theta: float) -> np.ndarray:
    """RoPE on [T, N, K] as complex multiplication: channels i and i + K/2 are real and imaginary part."""
    length, _, width = x.shape
    half = width // 2
    angles = np.arange(length)[:, None] * theta ** (-2 * np.arange(half) / width)
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)[:, None]
    return np.concatenate([turned.real, turned.imag], axis=-1)
